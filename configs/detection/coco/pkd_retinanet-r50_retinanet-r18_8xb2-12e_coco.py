# PKD (https://arxiv.org/abs/2207.02039) on the levels of the FPN, together with the task loss. The weight is one of those
# that the paper uses for detection.
_base_ = './sskd_retinanet-r50_retinanet-r18_8xb2-3e_coco.py'

model = dict(
    student=dict(options={'model.backbone.frozen_stages': 1}),
    spots=[dict(name=f'p{level + 3}', student=f'neck[{level}]', loss=dict(type='PKDLoss'), weight=6)
           for level in range(5)])

schedule = dict(_delete_=True, type='Simultaneous', phase_epochs=12, val_interval=1, average=False)
