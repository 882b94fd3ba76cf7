# resnet56 teaches resnet20 on 2,458 images of CIFAR-100, a quarter of those that are not held out.
_base_ = './_base_/cifar100_quarter.py'
baselines = 'configs/baselines/cifar100/{}_resnet56_resnet20_1xb64-100e_cifar100.py'
study = dict(
    title='CIFAR-100, 2,458 training images: resnet56 → resnet20',
    fractions=[0.25],
    baseline='no teacher',
    equal_compute='SKD',
    options={'schedule.val_interval': 5},
    teachers=[_base_.resnet56],
    methods=[
        dict(name='no teacher', cfg='configs/baselines/cifar100/no-teacher_resnet20_1xb64-100e_cifar100.py'),
        dict(name='Hinton KD', cfg=baselines.format('kd')),
        dict(name='attention transfer', cfg=baselines.format('at')),
        dict(name='FSP', cfg=baselines.format('fsp')),
        dict(name='FitNets', cfg=baselines.format('fitnets')),
        dict(name='simultaneous', cfg=baselines.format('simultaneous')),
        dict(
            name='SKD',
            cfg='configs/skd/cifar100/skd_resnet56_resnet20_1xb64-100e_cifar100.py',
            epochs=8,
            options={'schedule.val_interval': 4}),
        dict(
            name='SSKD',
            cfg='configs/sskd/cifar100/sskd_resnet56_resnet20_1xb64-100e_cifar100.py',
            options={'schedule.val_interval': 4}),
    ])
