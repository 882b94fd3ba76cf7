# A part of CIFAR-100 in the data set's own layout: its md5 sums are not those of the release.
_base_ = './cifar100.py'
part = dict(dataset=dict(check_md5=False))
train_dataloader = part
val_dataloader = part
test_dataloader = part
