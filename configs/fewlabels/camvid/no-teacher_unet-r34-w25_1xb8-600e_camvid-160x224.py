# The teacher of the harder setting: it is trained on the 36 labelled images alone.
_base_ = '../../baselines/camvid/no-teacher_unet-r10-w25_1xb8-150e_camvid-160x224.py'
model = dict(student=dict(cfg='configs/teachers/unet-r34-w25_1xb8-100e_camvid-160x224.py'))
schedule = dict(phase_epochs=600, val_interval=30, fraction=0.1)
