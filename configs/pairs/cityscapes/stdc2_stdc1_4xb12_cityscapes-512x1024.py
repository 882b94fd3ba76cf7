# STDC2 teaches STDC1. The backbone is trained stage by stage on the teacher's features; then, with the backbone
# frozen, the rest on the ground truth and the teacher's logits. Data, evaluation, optimizer and runtime are those of
# the inherited config.
_base_ = 'mmseg::stdc/stdc1_in1k-pre_4xb12-80k_cityscapes-512x1024.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)

model = dict(
    _delete_=True,
    type='skd_mm.Distiller',
    student=_base_.model,
    teacher=dict(
        cfg='mmseg::stdc/stdc2_in1k-pre_4xb12-80k_cityscapes-512x1024.py',
        checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/stdc/'
        'stdc2_in1k-pre_512x1024_80k_cityscapes/'
        'stdc2_in1k-pre_512x1024_80k_cityscapes_20220224_073048-1f8f0f6c.pth'),
    spots=[
        dict(name='stage', backbone_stage='all'),
        dict(name='logits', student='decode_head.conv_seg', teacher_connector=dict(type='Resize'), weight=3,
             loss=dict(type='CWDLoss', temperature=4))])

schedule = dict(
    type='BackboneFirst', phase_iters=6500, val_interval=1300,
    head=dict(iters=40000, spots=dict(logits=1)))
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, by_epoch=False)]  # to the end of each phase
