# DINOv2 ViT-S teaches PIDNet-S: a foundation model without a head. The backbone is trained on the teacher's patch tokens
# without labels, through a 1x1 convolution and a resize to the teacher's grid; then the whole student on the ground truth.
# The teacher's images are resized to 1022x1022, a multiple of its patches of 14 pixels. Data, evaluation, optimizer and
# runtime are those of the inherited config.
_base_ = 'mmseg::pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)

model = dict(
    _delete_=True,
    type='skd_mm.Distiller',
    student=_base_.model,
    teacher=dict(
        type='mmpretrain.VisionTransformer', arch='dinov2-small', img_size=518, patch_size=14,
        layer_scale_init_value=1e-5,
        data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True),
        checkpoint='https://mmassets.onedl.ai/mmpretrain/v1.0/dinov2/'
        'vit-small-p14_dinov2-pre_3rdparty_20230426-5641ca5a.pth'),
    # The fusion of PIDNet's three branches, and the teacher's tokens after its final norm.
    spots=[dict(name='tokens', student='backbone.dfm', teacher='backbone.ln1', connector='auto')])

schedule = dict(type='BackboneFirst', phase_iters=60000, val_interval=12000, head=dict(iters=60000, train=['all']))
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, by_epoch=False)]  # to the end of each phase
