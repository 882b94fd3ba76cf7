# Swin-T teaches ResNet-18. The backbone is trained stage by stage on the teacher's features; then, with the backbone
# frozen, the rest on the ground truth and the teacher's logits. Data, evaluation, optimizer and runtime are those of
# the inherited config.
_base_ = 'mmpretrain::resnet/resnet18_8xb32_in1k.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)

model = dict(
    _delete_=True,
    type='skd_mm.Distiller',
    student=_base_.model,
    teacher=dict(
        cfg='mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py',
        checkpoint='https://mmassets.onedl.ai/mmclassification/v0/swin-transformer/'
        'swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6.pth'),
    spots=[
        dict(name='stage', backbone_stage='all'),
        dict(name='logits', student='head.fc', teacher='head.fc', loss=dict(type='KDLoss'))])

schedule = dict(
    type='BackboneFirst', phase_epochs=15, val_interval=1, head=dict(epochs=40, spots=dict(logits=1)))
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
param_scheduler = dict(_delete_=True, type='CosineAnnealingLR', by_epoch=False)  # to the end of each phase
