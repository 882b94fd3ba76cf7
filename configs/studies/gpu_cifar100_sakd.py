# SAKD's first pair, on a quarter of CIFAR-100. For a GPU.
_base_ = './_base_/cifar100_quarter.py'
config = 'configs/sakd/cifar100/sakd-at_resnet32x4_resnet8x4_1xb64-240e_cifar100.py'
study = dict(
    title='SAKD, CIFAR-100, 10,000 training images: resnet32x4 → resnet8x4',
    fractions=[1.0],
    baseline='always',
    equal_compute=dict(reference='policy', methods=['always, equal compute']),
    options={'schedule.val_interval': 20},
    teachers=[dict(
        name='resnet32x4',
        cfg='configs/teachers/resnet32x4_1xb64-240e_cifar100.py',
        options={'train_cfg.max_epochs': 60, 'train_cfg.val_interval': 10, 'param_scheduler.milestones': [38, 46, 54]})],
    methods=[
        dict(name='always', cfg=config, epochs=60, options={'model.router.gate': 'always'}),
        dict(name='always, equal compute', cfg=config, options={'model.router.gate': 'always'}),
        dict(name='policy', cfg=config, epochs=60, options={'model.router.gate': 'policy'}),
    ])
