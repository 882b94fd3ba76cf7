_base_ = './lenet5_1xb128-20e_digits100.py'
# Four times as many images per class as for 100 classes; otherwise there are too few steps.
train_dataloader = dict(dataset=dict(num_classes=3, per_class=2000))
val_dataloader = dict(dataset=dict(num_classes=3))
model = dict(head=dict(num_classes=3))
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1, ))
test_evaluator = val_evaluator
