_base_ = [
    '../../_base_/models/distiller_unet.py', '../../_base_/datasets/cityscapes.py',
    '../../_base_/schedules/phases.py'
]
model = dict(
    teacher=dict(
        cfg='configs/teachers/unet-r34_4xb2-80k_cityscapes-512x1024.py',
        checkpoint='work_dirs/unet-r34_4xb2-80k_cityscapes-512x1024/best_mIoU_*.pth'),
    student=dict(cfg='configs/students/unet-r10_cityscapes-512x1024.py'))
schedule = dict(type='Stagewise', phase_iters=8000, val_interval=2000, fraction=1.0)
