"""A spot of each segmentation method for the toy networks of ``tests.helpers``, the teacher with six channels."""

from tests.helpers import SPOTS

LOGITS, FEATURE = 'decode_head.conv_seg', SPOTS[2]
QUEUES = dict(type='ClassQueues', pixel_slots=200, region_slots=20, pixel_keys=30, region_keys=9)
POOL = dict(type='GlobalPool')
METHODS = {
    'KDLoss': dict(student=LOGITS, loss=dict(type='KDLoss', ignore_index=None)),
    'DKDLoss': dict(student=LOGITS, loss=dict(type='DKDLoss')),
    'FitNets': dict(student=FEATURE, connector=dict(type='Conv1x1', bias=False)),
    'PKDLoss': dict(student=FEATURE, connector=dict(type='Conv1x1'), loss=dict(type='PKDLoss')),
    'CWDLoss': dict(student=LOGITS, loss=dict(type='CWDLoss')),
    'DISTLoss': dict(student=LOGITS, loss=dict(type='DISTLoss')),
    'SKDSPairwiseLoss': dict(student=FEATURE, loss=dict(type='SKDSPairwiseLoss')),
    'IFVDLoss': dict(student=FEATURE, loss=dict(type='IFVDLoss')),
    'MGD': dict(student=FEATURE, connector=dict(type='MaskedGenerator'), loss=dict(type='MSELoss', reduction='sum')),
    'AfDCDLoss': dict(student=FEATURE, connector=dict(type='MaskedGenerator'), loss=dict(type='AfDCDLoss', groups=3)),
    'BPKDLoss': dict(student=LOGITS, loss=dict(type='BPKDLoss')),
    'CIRKDLoss': dict(student=FEATURE, loss=dict(type='CIRKDLoss')),
    'CIRKDMemoryLoss': dict(student=FEATURE, connector=dict(type='Projector'), memory=QUEUES,
                            loss=dict(type='CIRKDMemoryLoss')),
    'QueueKDLoss': dict(student=FEATURE, connector=[dict(type='Conv1x1'), POOL], teacher_connector=POOL,
                        memory=dict(type='VectorQueue', slots=12), loss=dict(type='QueueKDLoss')),
}
HOLISTIC = dict(student=LOGITS, loss=dict(type='KDLoss', temperature=1, ignore_index=None),
                discriminator=dict(type='HolisticDiscriminator', channels=4, depth=2))
BY_BATCH = ('PKDLoss', 'DISTLoss', 'CIRKDLoss', 'holistic')
"""Methods whose value depends on which images are in a batch."""
