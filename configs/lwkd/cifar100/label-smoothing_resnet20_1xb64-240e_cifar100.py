_base_ = './no-teacher_resnet20_1xb64-240e_cifar100.py'
model = dict(student=dict(options={
    'model.head.loss': dict(type='LabelSmoothLoss', label_smooth_val=0.1, num_classes=100)}))
