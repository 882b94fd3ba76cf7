"""Every kind of schedule, loss, connector, memory, gate and cache as a toy run.

A new one is one entry of :data:`KINDS`: arguments of :func:`tests.helpers.config`, which trains a segmentation model on
twelve images in batches of four.
"""

from tests.helpers import CLASSES, RANDOM, SPOTS, network

HEAD = 'decode_head.conv_seg'
LOGITS = dict(name='logits', student=HEAD, loss=dict(type='KDLoss', temperature=4))
EMBED = dict(type='Embed', dim=8, normalize=True)
BANK = dict(type='skd_mm.TargetBank', num_classes=CLASSES, rows=4, stride=1)
JUDGED = dict(name='logits', student=HEAD, teacher='bank', loss=dict(type='KDLoss', temperature=2),
              discriminator=dict(type='LabelDiscriminator', embedding=4, channels=(8, 6), pixels=20))
CRD = dict(name='crd', student=SPOTS[2], loss=dict(type='CRDLoss'), connector=EMBED, teacher_connector=EMBED,
           memory=dict(type='ContrastMemory', num_samples=12, dim=8, negatives=5))
QUEUES = dict(name='queues', student=SPOTS[2], loss=dict(type='CIRKDMemoryLoss'), connector=dict(type='Projector'),
              memory=dict(type='ClassQueues', num_classes=CLASSES, dim=4, pixel_slots=64, region_slots=16,
                          pixel_keys=12, region_keys=6, pixels_per_image=4))
GLOBAL = dict(name='global', student=SPOTS[2], loss=dict(type='QueueKDLoss'), teacher_connector=dict(type='GlobalPool'),
              connector=[dict(type='Conv1x1'), dict(type='GlobalPool')], memory=dict(type='VectorQueue', slots=6))
FACTOR = dict(name='ft', student=SPOTS[2], loss=dict(type='FTLoss'), connector=dict(type='Translator'),
              teacher_connector=dict(type='Paraphraser'), teacher_decoder=dict(type='ParaphraserDecoder'))
WIDE = dict(student=network(), teacher=network(widths=[4, 5, 6]))


def distiller(spots=SPOTS, **changes):
    """The config of a distiller."""
    return dict(dict(type='skd_mm.Distiller', student=network(), teacher=network(), spots=list(spots)), **changes)


def simultaneous(spots, **changes):
    """A run in one phase with some spots, given as dicts."""
    schedule = dict(type='Simultaneous', phase_iters=3)
    return dict(model=distiller(spots, **changes), schedule=schedule)


def at(module, loss, **changes):
    """A spot with a loss."""
    return dict(student=module, loss=dict(type=loss), **changes)


def stagewise(**changes):
    """SKD with two iterations a phase."""
    return dict(schedule=dict(type='Stagewise', phase_iters=2, **changes))


def cached(**settings):
    """SKD with a cache that two iterations of a phase fill and a third one reads."""
    return dict(images=8, schedule=dict(type='Stagewise', phase_iters=3, cache=settings))


def classification(spots, **changes):
    """What differs from segmentation in a run that classifies, one phase of three iterations."""

    def model():
        return dict(
            type='mmpretrain.ImageClassifier', backbone=dict(type='mmengine.ToyBackbone'),
            data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor', mean=[90.] * 3, std=[50.] * 3,
                                   num_classes=CLASSES),
            neck=dict(type='mmpretrain.GlobalAveragePooling'),
            head=dict(type='mmpretrain.LinearClsHead', num_classes=CLASSES, in_channels=4))

    def loader(images, first, batch):
        return dict(batch_size=batch, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                    dataset=dict(type='mmengine.ToyClsDataset', images=images, first=first, test_mode=first > 0,
                                 pipeline=[dict(type='PackInputs')]))

    return dict(
        default_scope='mmpretrain', train_dataloader=loader(12, 0, 4), val_dataloader=loader(4, 500, 2),
        val_evaluator=dict(type='Accuracy', topk=(1, )),
        visualizer=dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')]),
        model=distiller(spots, student=model(), teacher=model(), **changes),
        schedule=dict(type='Simultaneous', phase_iters=3))


def optimizer(**changes):
    """An optimizer wrapper."""
    return dict(dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9)), **changes)


KINDS = {
    # Recipes
    'stagewise': stagewise(),
    'backbone first': dict(schedule=dict(type='BackboneFirst', phase_iters=2)),
    'simultaneous': simultaneous(SPOTS),
    'fitnets': dict(schedule=dict(type='FitNets', hints=[SPOTS[1]], phase_iters=2)),
    'progressive': dict(model=distiller([*SPOTS, LOGITS]),
                        schedule=dict(type='Progressive', phase_iters=2, logits='logits', fraction=[1 / 3, 1])),
    'few labels': dict(model=distiller([*SPOTS, LOGITS]), schedule=dict(type='FewLabels', phase_iters=2)),
    'parallel stages': dict(
        model=distiller([dict(student=spot, connector='auto', input_connector='auto') for spot in SPOTS], **WIDE),
        schedule=dict(type='ParallelStages', phase_iters=2)),
    'reconstruction': dict(schedule=dict(type='StagewiseReconstruction', phase_iters=2)),
    'no teacher': dict(model=dict(type='skd_mm.Distiller', student=network()),
                       schedule=dict(type='NoTeacher', phase_iters=2)),
    'phases': dict(schedule=dict(type='Phases', phase_iters=2, phases=[
        dict(name='drift', train=['backbone.layers.1'], spots=[SPOTS[1]], frozen_bn='train'),
        dict(name='all', train='all', spots={SPOTS[2]: 0.5}, task=1)])),
    # Losses, connectors and memories
    'logits and attention': simultaneous([at(SPOTS[0], 'ATLoss'), at(SPOTS[1], 'MSELoss'), at(SPOTS[2], 'SPLoss'),
                                          LOGITS]),
    'relations': simultaneous([at(SPOTS[0], 'PKTLoss'), at(SPOTS[1], 'RKDLoss'),
                               at(SPOTS[2], 'CCLoss', connector=EMBED, teacher_connector=EMBED)]),
    'distributions': simultaneous([at(SPOTS[0], 'NSTLoss'), at(SPOTS[1:], 'FSPLoss', name='fsp'),
                                   at(SPOTS[1], 'VIDLoss', connector=dict(type='VarianceHead'))]),
    'segmentation': simultaneous([
        at(SPOTS[0], 'SKDSPairwiseLoss', name='pairs'), at(SPOTS[1], 'PKDLoss'), at(HEAD, 'CWDLoss'),
        dict(student=SPOTS[2], loss=dict(type='IFVDLoss', num_classes=CLASSES))]),
    'queue of vectors': simultaneous([GLOBAL, dict(student=SPOTS[2], loss=dict(type='CIRKDLoss', pairs='self'))]),
    'retrieved features': simultaneous([at(SPOTS[2], 'MSELoss', connector=dict(type='QueryAttention'))]),
    'generated features': simultaneous([at(SPOTS[2], 'MSELoss', connector=dict(type='MaskedGenerator'))]),
    'sigmoid scores': simultaneous([at(HEAD, 'SigmoidKDLoss')]),
    'boundaries': simultaneous([at(HEAD, 'BPKDLoss')]),
    'correlations of predictions': simultaneous([at(HEAD, 'DISTLoss')]),
    'decoupled logits': simultaneous([at(HEAD, 'DKDLoss')]),
    'decoupled logits of a classifier': classification([at('head.fc', 'DKDLoss')]),
    'connectors': simultaneous([dict(student=SPOTS[0], connector='auto'),
                                dict(student=SPOTS[1], connector=[dict(type='ConvReg'), dict(type='Resize')]),
                                dict(student=HEAD, connector=dict(type='PoolToSmaller'),
                                     teacher_connector=dict(type='PoolToSmaller')),
                                dict(student=SPOTS[2], connector=[dict(type='GlobalPool'), dict(type='Linear')],
                                     teacher_connector=dict(type='GlobalPool'))], teacher=network(width=6, stride=2)),
    'paraphraser': dict(model=distiller([FACTOR]), schedule=dict(
        type='Simultaneous', phase_iters=2, prepare=dict(spots=['ft.teacher']))),
    'contrastive memory': dict(simultaneous([CRD]), schedule=dict(type='Simultaneous', phase_iters=5)),
    'contrastive memory of a classifier': classification([CRD]),
    'images of a batch': simultaneous([at(SPOTS[2], 'CIRKDLoss')]),
    'omni-contrast': simultaneous([dict(student=SPOTS[2], loss=dict(type='AfDCDLoss', groups=2))]),
    'queues of classes': simultaneous([QUEUES]),
    # Gates
    **{f'router {gate}': simultaneous([at(SPOTS[0], 'ATLoss'), at(SPOTS[1], 'SPLoss'), at(SPOTS[2], 'PKTLoss'), LOGITS],
                                      router=dict(gate=gate), **WIDE)
       for gate in ('policy', 'random', 'always', 'never', 'anti')},
    'router of a memory': simultaneous([CRD, LOGITS], router=dict(gate='random')),
    'router of queues': simultaneous([QUEUES, LOGITS], router=dict(gate='random')),
    'router of a queue': simultaneous([GLOBAL, LOGITS], router=dict(gate='random')),
    'router of a classifier': classification([at(SPOTS[1], 'SPLoss'), CRD, dict(LOGITS, student='head.fc')],
                                             router=dict(gate='policy')),
    # Teachers
    'discriminator': dict(
        model=distiller([JUDGED], teacher=BANK), optim_wrapper=optimizer(), param_scheduler=[],
        schedule=dict(type='Phases', phase_iters=3, phases=[
            dict(name='lwkd', train='all', task=0.1, spots={'logits': 0.9, 'logits.discriminator': 0.1})])),
    'discriminator of logits': dict(
        model=distiller([dict(at(HEAD, 'KDLoss', name='logits'), discriminator=dict(
            type='HolisticDiscriminator', channels=4, depth=2, objective='wgan-gp'))]), optim_wrapper=optimizer(),
        param_scheduler=[], schedule=dict(type='Simultaneous', phase_iters=3, average=False,
                                          spots={'logits': 1, 'logits.discriminator': 0.1})),
    'permuted mean of a bank': simultaneous(
        [dict(JUDGED, discriminator=None)], teacher=dict(BANK, target='mean', permutation=1)),
    'virtual teacher': simultaneous(
        [dict(JUDGED, discriminator=None)], teacher=dict(type='skd_mm.VirtualTeacher', num_classes=CLASSES, stride=1)),
    'teacher with another normalisation': dict(
        model=distiller(teacher=dict(network(), data_preprocessor=dict(
            type='mmseg.SegDataPreProcessor', mean=[0.] * 3, std=[255.] * 3, bgr_to_rgb=True, pad_val=114,
            seg_pad_val=255, size=(16, 16))), student=dict(network(), data_preprocessor=dict(
                network()['data_preprocessor'], size=(16, 16)))),
        schedule=dict(type='Simultaneous', phase_iters=2)),
    'teacher in training mode': stagewise() | dict(model=distiller(teacher=dict(network(), mode='train'))),
    # What else may be on
    'cache in memory': cached(memory=1),
    'cache on the host': cached(host=1),
    'cache on disk': cached(disk=1),
    'cache in bfloat16': cached(memory=1, dtype='bfloat16'),
    'cache of views': cached(memory=1, views=2) | dict(pipeline=RANDOM),
    'accumulation': dict(schedule=dict(type='Stagewise', phase_iters=4), param_scheduler=[],
                         optim_wrapper=optimizer(accumulative_counts=2, clip_grad=dict(max_norm=1.))),
    'half precision': simultaneous([*SPOTS, LOGITS]) | dict(optim_wrapper=optimizer(
        type='skd_mm.AmpOptimWrapper', dtype='float16', clip_grad=dict(max_norm=1.)), param_scheduler=[]),
    'gradient checkpointing': simultaneous(SPOTS, gradient_checkpointing=True),
    'channels last': simultaneous(SPOTS, channels_last=True),
    'moving average': stagewise() | dict(custom_hooks=[dict(type='EMAHook')]),
}
