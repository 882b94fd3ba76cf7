_base_ = ['../../_base_/datasets/camvid.py', '../../_base_/schedules/phases.py']
model = dict(type='skd_mm.Distiller', student=dict(cfg='configs/students/unet-r10_camvid-480x640.py'))
schedule = dict(type='NoTeacher', phase_epochs=50, val_interval=1, fraction=1.0)
