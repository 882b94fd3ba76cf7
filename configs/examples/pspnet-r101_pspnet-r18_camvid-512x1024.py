# What tools/benchmark.py times of a pair of the model zoo at Cityscapes' size; images are CamVid's, resized.
_base_ = ['../_base_/datasets/camvid.py', '../_base_/schedules/phases.py']

train_dataloader = dict(
    batch_size=1,
    dataset=dict(pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='Resize', scale=(1024, 512), keep_ratio=False),
        dict(type='PackSegInputs')
    ]))

model = dict(
    type='skd_mm.Distiller',
    teacher=dict(cfg='mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py'),
    student=dict(cfg='mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py'),
    spots=[dict(student=f'backbone.{name}', connector='auto') for name in ('stem', 'layer1', 'layer2')])
schedule = dict(type='Stagewise', phase_epochs=50, fraction=0.1)
