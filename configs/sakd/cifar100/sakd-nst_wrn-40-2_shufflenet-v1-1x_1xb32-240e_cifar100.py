# As in the authors' code, which uses a batch size of 32 for this pair.
_base_ = './sakd-nst_wrn-40-2_shufflenet-v1-1x_1xb64-240e_cifar100.py'
train_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=32)
