_base_ = './skd_resnet34_resnet10_1xb64-100e_cifar10.py'
model = dict(student=dict(cfg='configs/students/resnet26_cifar10.py'))
