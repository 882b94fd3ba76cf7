# A foundation model teaches the backbone before any label is used; then the whole student is trained on the labels. The
# end of the student's backbone (stride 32) is resized to the grid of the teacher's patches (14 pixels) and mapped to its
# channels by a 1x1 convolution; the loss is the mean squared error. Set `data_root` to your own images.
_base_ = ['../../_base_/datasets/camvid.py', '../../_base_/schedules/phases.py']
model = dict(
    type='skd_mm.Distiller',
    teacher=dict(
        cfg='mmpretrain::dinov2/vit-small-p14_dinov2-pre_headless.py',
        checkpoint='https://mmassets.onedl.ai/mmpretrain/v1.0/dinov2/'
        'vit-small-p14_dinov2-pre_3rdparty_20230426-5641ca5a.pth',
        options={'model.backbone.out_type': 'featmap'}),
    student=dict(cfg='configs/students/unet-r18_camvid-480x640.py'),
    spots=[
        dict(
            name='dinov2',
            student='backbone.layer4',
            teacher='backbone[0]',
            connector=[dict(type='Resize'), dict(type='Conv1x1')])
    ])
unlabelled_dataloader = dict(
    dataset=dict(type='skd_mm.UnlabelledDataset', data_root='{{$SKD_MM_DATA:data}}/camvid/train'))
schedule = dict(
    type='Phases',
    phase_epochs=50,
    val_interval=5,
    fraction=0.1,
    phases=[
        dict(name='features', train=['backbone'], spots=['dinov2']),
        dict(name='labels', train='all', task=1, epochs=200, val_interval=20),
    ])
