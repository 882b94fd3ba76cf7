_base_ = ['../../_base_/datasets/street_scenes_boxes.py', '../../_base_/schedules/phases_det.py']
model = dict(
    type='skd_mm.Distiller',
    student=dict(cfg='configs/_base_/models/retinanet_r18-w25.py'))
schedule = dict(type='NoTeacher', phase_epochs=14, val_interval=7)
