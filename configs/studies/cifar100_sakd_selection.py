# Which start the policy of SAKD needs, measured on held-out training images.
_base_ = './_base_/cifar100_quarter.py'
config = 'configs/sakd/cifar100/sakd-at_resnet56_resnet20_1xb64-240e_cifar100.py'
study = dict(
    title="SAKD, selection of the policy's start: resnet56 → resnet20",
    seeds=[0],
    fractions=[0.25],
    split='val',
    baseline='bias 0',
    options={'schedule.val_interval': 8},
    teachers=[_base_.resnet56],
    methods=[
        dict(name=f'bias {bias}', cfg=config, epochs=32, options={'model.router.teacher_bias': bias})
        for bias in (0, 1, 3, 10)
    ])
