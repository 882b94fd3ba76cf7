# Stage by stage on features, soft labels and ground truth at once: from phase to phase, less weight on the first, more
# on the others, and more images.
_base_ = './skd_resnet56_resnet20_1xb64-100e_cifar100.py'
model = dict(spots=[*_base_.model.spots, dict(student='head.fc', loss=dict(type='KDLoss', temperature=4))])
schedule = dict(
    type='Progressive', logits='head.fc', spot=[1, 0.1], soft_labels=[0, 0.9], task=[0, 0.1], fraction=[0.25, 1])
