# Hinton's KD with a real teacher, which is trained first.
_base_ = './no-teacher_resnet20_1xb64-240e_cifar100.py'
prelude = dict(cfg='configs/teachers/resnet56_1xb64-240e_cifar100.py')
model = dict(
    teacher=dict(cfg=prelude['cfg'], checkpoint='prelude/best_*.pth'),
    spots=[dict(name='logits', student='head.fc', loss=dict(type='KDLoss', temperature=4))])
schedule = dict(type='Simultaneous', spots=dict(logits=0.9), task=0.1, average=False)
