# A quarter of 10,000 training images of CIFAR-100 with labels, all of them without; 2,500 more select checkpoints.
_base_ = './_base_/cifar100_quarter.py'
configs = 'configs/fewlabels/cifar100/'
unlabelled = {'unlabelled_dataloader.dataset.check_md5': False, 'unlabelled_dataloader.dataset.indices': 10000}
study = dict(
    title='CIFAR-100, 2,500 labelled of 10,000 training images: resnet56 → resnet20',
    fractions=[0.25],
    baseline='KD, no labels',
    equal_compute=dict(reference='few labels', methods=['no teacher', 'KD', 'KD, no labels']),
    teachers=[_base_.resnet56],
    methods=[
        dict(
            name='no teacher',
            cfg='configs/baselines/cifar100/no-teacher_resnet20_1xb64-100e_cifar100.py',
            options={'schedule.val_interval': 5}),
        dict(name='KD', cfg=configs + 'kd-quarter_resnet56_resnet20_1xb64-100e_cifar100.py'),
        dict(
            name='KD, no labels',
            cfg=configs + 'kd-unlabelled_resnet56_resnet20_1xb64-20e_cifar100.py',
            options=unlabelled),
        dict(
            name='few labels',
            cfg=configs + 'few-labels_resnet56_resnet20_1xb64-8e_cifar100.py',
            options=unlabelled),
    ])
