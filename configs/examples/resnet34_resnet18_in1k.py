# Distils mmpretrain's ResNet-34 into its ResNet-18: the backbone stage by stage, then the head. Data, evaluation and
# runtime are those of the inherited config.
_base_ = 'mmpretrain::resnet/resnet18_8xb32_in1k.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)

model = dict(
    _delete_=True,  # otherwise MMEngine merges the keys of the two models
    type='skd_mm.Distiller',
    student=_base_.model,
    teacher=dict(
        cfg='mmpretrain::resnet/resnet34_8xb32_in1k.py',
        checkpoint='https://mmassets.onedl.ai/mmclassification/v0/resnet/resnet34_8xb32_in1k_20210831-f257d4e6.pth'),
    spots='backbone')  # one at the end of each backbone stage

schedule = dict(type='BackboneFirst', phase_epochs=20, val_interval=1)
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
# These start again in each phase, and are as long as the phase.
optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', lr=1e-4))
param_scheduler = dict(_delete_=True, type='OneCycleLR', eta_max=1e-3, by_epoch=False)
