_base_ = './skd_resnet34_resnet10_1xb64-100e_imagenette.py'
model = dict(student=dict(cfg='configs/students/resnet20_imagenette.py'))
