_base_ = [
    '../../_base_/models/distiller_unet.py', '../../_base_/datasets/camvid.py', '../../_base_/schedules/phases.py'
]
model = dict(
    teacher=dict(
        cfg='configs/teachers/unet-r34_1xb8-100e_camvid-480x640.py',
        checkpoint='work_dirs/unet-r34_1xb8-100e_camvid-480x640/best_mIoU_*.pth'),
    student=dict(cfg='configs/students/unet-r10_camvid-480x640.py'))
schedule = dict(type='Stagewise', phase_epochs=50, val_interval=1, fraction=1.0)
