# The two have different stages: those of the same resolution are compared.
_base_ = './sskd_resnet34_resnet18_8xb32-20e_in1k.py'
model = dict(
    teacher=dict(
        cfg='mmpretrain::resnet/resnet50_8xb32_in1k.py',
        checkpoint='https://mmassets.onedl.ai/mmclassification/v0/resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth'),
    student=dict(cfg='mmpretrain::mobilenet_v2/mobilenet-v2_8xb32_in1k.py'))
