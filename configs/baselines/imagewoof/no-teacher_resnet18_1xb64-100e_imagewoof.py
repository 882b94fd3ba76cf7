_base_ = './no-teacher_resnet10_1xb64-100e_imagewoof.py'
model = dict(student=dict(cfg='configs/students/resnet18_imagewoof.py'))
