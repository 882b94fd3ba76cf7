# Query-based soft distillation: the student's backbone is trained to retrieve the teacher's features by attention.
_base_ = './foundation_dinov2-s_unet-r18_1xb8-50e_camvid-480x640.py'
model = dict(spots=[
    dict(
        name='dinov2',
        student='backbone.layer4',
        teacher='backbone[0]',
        connector=[dict(type='Resize'), dict(type='QueryAttention')])
])
