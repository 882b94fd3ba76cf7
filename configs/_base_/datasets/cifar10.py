# CIFAR-10 with the augmentation of CIFAR-100. SKD uses that of imagenette.py, at 32x32.
_base_ = './cifar100.py'
data_preprocessor = dict(
    num_classes=10,
    mean=[0.4914 * 255, 0.4822 * 255, 0.4465 * 255],
    std=[0.2470 * 255, 0.2435 * 255, 0.2616 * 255])
cifar10 = dict(dataset=dict(type='skd_mm.CIFAR10'))  # with cifar-10-batches-py/ in data_root
train_dataloader = cifar10
val_dataloader = cifar10
test_dataloader = cifar10
