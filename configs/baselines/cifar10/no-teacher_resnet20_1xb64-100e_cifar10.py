_base_ = './no-teacher_resnet10_1xb64-100e_cifar10.py'
model = dict(student=dict(cfg='configs/students/resnet20_cifar10.py'))
