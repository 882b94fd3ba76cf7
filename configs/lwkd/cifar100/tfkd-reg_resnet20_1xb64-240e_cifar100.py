# A teacher that is a formula: .99 for the right class, the rest for the others, softened at τ = 20.
_base_ = './no-teacher_resnet20_1xb64-240e_cifar100.py'
model = dict(
    teacher=dict(type='skd_mm.VirtualTeacher', num_classes=100, correct=0.99),
    spots=[dict(name='logits', student='head.fc', teacher='bank', loss=dict(type='KDLoss', temperature=20))])
schedule = dict(type='Simultaneous', spots=dict(logits=0.1), task=0.9, average=False)
