_base_ = ['../_base_/models/distiller_unet.py', './_base_/street_scenes.py', '../_base_/schedules/phases.py']
model = dict(
    teacher=dict(cfg='configs/demo/teacher.py', checkpoint='work_dirs/demo/teacher/best_mIoU_*.pth'),
    student=dict(cfg='configs/demo/student.py'))
schedule = dict(type='Stagewise', phase_epochs=60, val_interval=20, fraction=0.1, cache=1)
