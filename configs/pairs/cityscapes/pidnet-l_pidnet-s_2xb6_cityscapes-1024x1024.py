# PIDNet-L teaches PIDNet-S. The backbone is trained stage by stage on the teacher's features; then the whole student
# on the ground truth and the teacher's logits: its heads read outputs that the backbone has in training mode only.
# Data, evaluation, optimizer and runtime are those of the inherited config.
_base_ = 'mmseg::pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)

model = dict(
    _delete_=True,
    type='skd_mm.Distiller',
    student=_base_.model,
    teacher=dict(
        cfg='mmseg::pidnet/pidnet-l_2xb6-120k_1024x1024-cityscapes.py',
        checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/pidnet/'
        'pidnet-l_2xb6-120k_1024x1024-cityscapes/'
        'pidnet-l_2xb6-120k_1024x1024-cityscapes_20230303_114514-0783ca6b.pth'),
    spots=[
        dict(name='stage', backbone_stage='all'),
        dict(name='logits', student='decode_head.conv_seg', teacher_connector=dict(type='Resize'), weight=3,
             loss=dict(type='CWDLoss', temperature=4))])

schedule = dict(
    type='BackboneFirst', phase_iters=12000, val_interval=2400,
    head=dict(iters=60000, spots=dict(logits=1), train=['all']))
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, by_epoch=False)]  # to the end of each phase
