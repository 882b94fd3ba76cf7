# Distils mmsegmentation's PSPNet-R101 into PSPNet-R18: the backbone stage by stage, with 1x1 convolutions because the
# widths differ; then the decode head and the auxiliary head on the ground truth. Data, evaluation, optimizer and runtime
# are those of the inherited config.
_base_ = 'mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)

model = dict(
    _delete_=True,  # otherwise MMEngine merges the keys of the two models
    type='skd_mm.Distiller',
    student=_base_.model,
    teacher=dict(
        cfg='mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py',
        checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/pspnet/pspnet_r101-d8_512x1024_80k_cityscapes/'
        'pspnet_r101-d8_512x1024_80k_cityscapes_20200606_112211-e1e1100f.pth'),
    spots='backbone')  # one at the end of each backbone stage, with connectors if needed

schedule = dict(type='BackboneFirst', phase_iters=16000, val_interval=4000)
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, by_epoch=False)]  # to the end of each phase
