_base_ = ['../../_base_/datasets/camvid_160x224.py', '../../_base_/schedules/phases.py']
model = dict(type='skd_mm.Distiller', student=dict(cfg='configs/students/unet-r10-w25_camvid-160x224.py'))
schedule = dict(type='NoTeacher', phase_epochs=150, val_interval=10, fraction=0.1)
