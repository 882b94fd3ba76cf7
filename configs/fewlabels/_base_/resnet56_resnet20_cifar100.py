# SKD's spots and one at the logits; all images of CIFAR-100 without their labels.
_base_ = '../../skd/cifar100/skd_resnet56_resnet20_1xb64-100e_cifar100.py'
model = dict(spots=[
    *_base_.model.spots,
    dict(name='logits', student='head.fc', loss=dict(type='KDLoss', temperature=4))
])
unlabelled_dataloader = dict(dataset=_base_.train_dataloader.dataset)
