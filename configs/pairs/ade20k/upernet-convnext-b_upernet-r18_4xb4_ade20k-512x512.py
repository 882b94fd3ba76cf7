# UPerNet with a ConvNeXt-B teaches UPerNet with a ResNet-18. The backbone is trained stage by stage on the teacher's
# features; then, with the backbone frozen, the rest on the ground truth and the teacher's logits. Data, evaluation,
# optimizer and runtime are those of the inherited config.
_base_ = 'mmseg::upernet/upernet_r18_4xb4-160k_ade20k-512x512.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)

model = dict(
    _delete_=True,
    type='skd_mm.Distiller',
    student=_base_.model,
    teacher=dict(
        cfg='mmseg::convnext/convnext-base_upernet_8xb2-amp-160k_ade20k-512x512.py',
        checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/convnext/'
        'upernet_convnext_base_fp16_512x512_160k_ade20k/'
        'upernet_convnext_base_fp16_512x512_160k_ade20k_20220227_181227-02a24fc6.pth'),
    spots=[
        dict(name='stage', backbone_stage='all'),
        dict(name='logits', student='decode_head.conv_seg', teacher_connector=dict(type='Resize'), weight=3,
             loss=dict(type='CWDLoss', temperature=4))])

schedule = dict(
    type='BackboneFirst', phase_iters=20000, val_interval=4000,
    head=dict(iters=80000, spots=dict(logits=1)))
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, by_epoch=False)]  # to the end of each phase
