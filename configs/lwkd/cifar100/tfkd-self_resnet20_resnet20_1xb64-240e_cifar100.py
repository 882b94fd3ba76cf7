# The student's own architecture, trained without a teacher, is the teacher.
_base_ = './kd_resnet56_resnet20_1xb64-240e_cifar100.py'
prelude = dict(cfg='configs/teachers/resnet20_1xb64-240e_cifar100.py')
model = dict(teacher=dict(cfg=prelude['cfg']))
