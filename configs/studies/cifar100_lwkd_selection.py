# Which α, τ and λ LW-KD needs, measured on held-out training images.
_base_ = './_base_/cifar100_quarter.py'
config = 'configs/lwkd/cifar100/lwkd_resnet20_1xb64-240e_cifar100.py'


def method(alpha, tau, weight):
    return dict(
        name=f'α {alpha}, τ {tau}, λ {weight}',
        cfg=config,
        epochs=40,
        options={
            'schedule.phases.0.task': round(1 - alpha, 2),
            'schedule.phases.0.spots': {'logits': alpha, 'logits.discriminator': weight},
            'model.spots.0.loss.temperature': tau
        })


study = dict(
    title='LW-KD, selection of α, τ and λ: resnet20',
    seeds=[0],
    fractions=[0.25],
    split='val',
    options={'schedule.val_interval': 10},
    methods=[
        *(method(alpha, tau, 0.1) for alpha in (0.1, 0.3, 0.6, 0.9) for tau in (4, 10)),
        *(method(0.3, 4, weight) for weight in (0.01, 1.0)),
    ])
