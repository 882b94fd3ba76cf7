_base_ = './lenet5_1xb128-20e_digits100.py'
digits = dict(dataset=dict(num_classes=1000))
model = dict(head=dict(num_classes=1000))
train_dataloader = digits
val_dataloader = digits
test_dataloader = digits
