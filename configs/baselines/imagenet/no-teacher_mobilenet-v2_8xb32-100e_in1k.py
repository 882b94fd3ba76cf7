_base_ = './no-teacher_resnet18_8xb32-100e_in1k.py'
model = dict(student=dict(cfg='mmpretrain::mobilenet_v2/mobilenet-v2_8xb32_in1k.py'))
