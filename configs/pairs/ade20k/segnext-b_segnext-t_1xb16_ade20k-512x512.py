# SegNeXt-B teaches SegNeXt-T. The backbone is trained stage by stage on the teacher's features; then, with the
# backbone frozen, the rest on the ground truth and the teacher's logits. Data, evaluation, optimizer and runtime are
# those of the inherited config.
_base_ = 'mmseg::segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)

model = dict(
    _delete_=True,
    type='skd_mm.Distiller',
    student=_base_.model,
    teacher=dict(
        cfg='mmseg::segnext/segnext_mscan-b_1xb16-adamw-160k_ade20k-512x512.py',
        checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/segnext/'
        'segnext_mscan-b_1x16_512x512_adamw_160k_ade20k/'
        'segnext_mscan-b_1x16_512x512_adamw_160k_ade20k_20230209_172053-b6f6c70c.pth'),
    spots=[
        dict(name='stage', backbone_stage='all'),
        dict(name='logits', student='decode_head.conv_seg', teacher_connector=dict(type='Resize'), weight=3,
             loss=dict(type='CWDLoss', temperature=4))])

schedule = dict(
    type='BackboneFirst', phase_iters=20000, val_interval=4000,
    head=dict(iters=80000, spots=dict(logits=1)))
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', eta_min=0, power=1.0, by_epoch=False, begin=1500)]  # to the end of each phase
