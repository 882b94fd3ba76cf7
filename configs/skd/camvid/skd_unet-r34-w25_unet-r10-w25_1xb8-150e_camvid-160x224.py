_base_ = [
    '../../_base_/models/distiller_unet.py', '../../_base_/datasets/camvid_160x224.py',
    '../../_base_/schedules/phases.py'
]
model = dict(
    teacher=dict(
        cfg='configs/teachers/unet-r34-w25_1xb8-100e_camvid-160x224.py',
        checkpoint='work_dirs/unet-r34-w25_1xb8-100e_camvid-160x224/best_mIoU_*.pth'),
    student=dict(cfg='configs/students/unet-r10-w25_camvid-160x224.py'))
schedule = dict(type='Stagewise', phase_epochs=150, val_interval=10, fraction=0.1)
