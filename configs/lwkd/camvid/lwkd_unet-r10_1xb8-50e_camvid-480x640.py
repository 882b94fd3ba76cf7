# Our design: for each class in an image, one row of the bank for all its pixels.
_base_ = ['../_base_/lwkd.py', '../../_base_/datasets/camvid.py', '../../_base_/schedules/phases.py']
prelude = dict(cfg='configs/teachers/lenet5_1xb128-20e_digits11.py')
model = dict(
    teacher=dict(num_classes=11, stride=1),
    student=dict(cfg='configs/students/unet-r10_camvid-480x640.py'),
    spots=[dict(
        _base_.model.spots[0], student='decode_head.conv_seg',
        discriminator=dict(type='LabelDiscriminator', pixels=1024))])
schedule = dict(phase_epochs=50)
