_base_ = './no-teacher_resnet10_1xb64-100e_imagenette.py'
model = dict(student=dict(cfg='configs/students/resnet14_imagenette.py'))
