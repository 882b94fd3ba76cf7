_base_ = [
    '../../_base_/models/distiller_resnet.py', '../../_base_/datasets/imagenet.py',
    '../../_base_/schedules/adam_onecycle_imagenet.py', '../../_base_/schedules/phases_cls.py'
]
model = dict(
    teacher=dict(
        cfg='mmpretrain::resnet/resnet34_8xb32_in1k.py',
        checkpoint='https://mmassets.onedl.ai/mmclassification/v0/resnet/resnet34_8xb32_in1k_20210831-f257d4e6.pth'),
    student=dict(cfg='mmpretrain::resnet/resnet18_8xb32_in1k.py'))
schedule = dict(type='Stagewise', phase_epochs=20, val_interval=1, fraction=1.0)
