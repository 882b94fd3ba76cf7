# The student's backbone is trained on the similarities of the teacher's features instead of the features themselves:
# those of an image to a queue of images (global), and those of the positions of an image to each other (local).
_base_ = './foundation_dinov2-s_unet-r18_1xb8-50e_camvid-480x640.py'
model = dict(spots=[
    dict(
        name='global',
        student='backbone.layer4',
        teacher='backbone[0]',
        connector=[dict(type='Conv1x1'), dict(type='GlobalPool')],
        teacher_connector=dict(type='GlobalPool'),
        memory=dict(type='VectorQueue', slots=128),
        loss=dict(type='QueueKDLoss')),
    dict(
        name='local',
        student='backbone.layer4',
        teacher='backbone[0]',
        connector=[dict(type='Resize'), dict(type='Conv1x1')],
        loss=dict(type='CIRKDLoss', pairs='self', temperature=0.07))
])
schedule = dict(phases=[
    dict(name='features', train=['backbone'], spots=['global', 'local']),
    dict(name='labels', train='all', task=1, epochs=200, val_interval=20),
])
