# A part of CIFAR-100 in the layout of the data set, whose md5 sums differ from the release.
_base_ = './cifar100.py'
part = dict(dataset=dict(check_md5=False))
train_dataloader = part
val_dataloader = part
test_dataloader = part
