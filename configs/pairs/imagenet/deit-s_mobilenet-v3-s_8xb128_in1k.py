# DeiT-S teaches MobileNetV3-Small. The backbone is trained stage by stage on the teacher's features; then, with the
# backbone frozen, the rest on the ground truth and the teacher's logits. Data, evaluation, optimizer and runtime are
# those of the inherited config.
_base_ = 'mmpretrain::mobilenet_v3/mobilenet-v3-small_8xb128_in1k.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)

model = dict(
    _delete_=True,
    type='skd_mm.Distiller',
    student=_base_.model,
    teacher=dict(
        cfg='mmpretrain::deit/deit-small_4xb256_in1k.py',
        checkpoint='https://mmassets.onedl.ai/mmclassification/v0/deit/'
        'deit-small_pt-4xb256_in1k_20220218-9425b9bb.pth'),
    spots=[
        dict(name='stage', backbone_stage='all'),
        dict(name='logits', student='head.layers.1.fc', teacher='head.layers.head', loss=dict(type='KDLoss'))])

schedule = dict(
    type='BackboneFirst', phase_epochs=15, val_interval=1, head=dict(epochs=40, spots=dict(logits=1)))
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
param_scheduler = dict(_delete_=True, type='CosineAnnealingLR', by_epoch=False)  # to the end of each phase
