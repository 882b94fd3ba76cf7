# Mask2Former with a Swin-T teaches SegFormer-B0. The backbone is trained stage by stage on the teacher's features; then,
# with the backbone frozen, the rest on the ground truth and on the teacher's masks, composed to a map of class scores. Needs
# mmdetection. Data, evaluation, optimizer and runtime are those of the inherited config.
_base_ = 'mmseg::segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)

model = dict(
    _delete_=True,
    type='skd_mm.Distiller',
    student=_base_.model,
    teacher=dict(
        cfg='mmseg::mask2former/mask2former_swin-t_8xb2-90k_cityscapes-512x1024.py',
        options={'model.decode_head.type': 'skd_mm.MaskMapHead'},
        checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/mask2former/'
        'mask2former_swin-t_8xb2-90k_cityscapes-512x1024/'
        'mask2former_swin-t_8xb2-90k_cityscapes-512x1024_20221127_144501-36c59341.pth'),
    spots=[
        dict(name='stage', backbone_stage='all'),
        # The scores of the map add up to 1: they are compared at temperature 1.
        dict(name='logits', student='decode_head.conv_seg', teacher='decode_head.class_map',
             teacher_connector=dict(type='Resize'), loss=dict(type='KDLoss', temperature=1))])

schedule = dict(
    type='BackboneFirst', phase_iters=20000, val_interval=4000,
    head=dict(iters=80000, spots=dict(logits=1)))
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', eta_min=0, power=1.0, by_epoch=False, begin=1500)]  # to the end of each phase
