# What the targets of a lightweight teacher are worth. cifar100_lwkd_selection.py selects α, τ and λ.
_base_ = './_base_/cifar100_quarter.py'
configs = 'configs/lwkd/cifar100/{}_resnet20_1xb64-240e_cifar100.py'
alpha, weight = 0.1, 0.1
with_discriminator = {
    'schedule.phases.0.task': 1 - alpha,
    'schedule.phases.0.spots': {'logits': alpha, 'logits.discriminator': weight}
}
without = {'schedule.phases.0.task': 1 - alpha, 'schedule.phases.0.spots': {'logits': alpha}}
study = dict(
    title='LW-KD, CIFAR-100, 2,458 training images: resnet20',
    fractions=[0.25],
    baseline='cross-entropy',
    options={'schedule.val_interval': 10},
    methods=[
        dict(name='cross-entropy', cfg=configs.format('no-teacher'), epochs=40),
        dict(name='label smoothing', cfg=configs.format('label-smoothing'), epochs=40),
        dict(name='Tf-KD reg', cfg=configs.format('tfkd-reg'), epochs=40),
        dict(name='class mean, λ = 0', cfg=configs.format('lwkd-mean-no-adversary'), epochs=40, options=without),
        dict(name='sampled, λ = 0', cfg=configs.format('lwkd-no-adversary'), epochs=40, options=without),
        dict(name='class mean', cfg=configs.format('lwkd-mean'), epochs=40, options=with_discriminator),
        dict(name='LW-KD', cfg=configs.format('lwkd'), epochs=40, options=with_discriminator),
        dict(name='LW-KD, classes permuted', cfg=configs.format('lwkd-permuted'), epochs=40,
             options=with_discriminator),
    ])
