# HRNet-W48 teaches HRNet-W18-Small, both with an FCN head. The backbone is trained stage by stage on the teacher's
# features; then, with the backbone frozen, the rest on the ground truth and the teacher's logits. Data, evaluation,
# optimizer and runtime are those of the inherited config.
_base_ = 'mmseg::hrnet/fcn_hr18s_4xb2-80k_cityscapes-512x1024.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)

model = dict(
    _delete_=True,
    type='skd_mm.Distiller',
    student=_base_.model,
    teacher=dict(
        cfg='mmseg::hrnet/fcn_hr48_4xb2-80k_cityscapes-512x1024.py',
        checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/hrnet/'
        'fcn_hr48_512x1024_80k_cityscapes/fcn_hr48_512x1024_80k_cityscapes_20200601_202606-58ea95d6.pth'),
    spots=[
        dict(name='stage', backbone_stage='all'),
        dict(name='logits', student='decode_head.conv_seg', teacher_connector=dict(type='Resize'), weight=3,
             loss=dict(type='CWDLoss', temperature=4))])

schedule = dict(
    type='BackboneFirst', phase_iters=5700, val_interval=1140,
    head=dict(iters=40000, spots=dict(logits=1)))
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, by_epoch=False)]  # to the end of each phase
