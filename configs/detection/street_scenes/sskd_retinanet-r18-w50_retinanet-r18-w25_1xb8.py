# SSKD: the backbone stage by stage, with 1x1 convolutions because the widths differ, for 8 epochs in all; then neck and
# head on the boxes for 6 epochs. The student without a teacher is trained as long, see the other config.
_base_ = ['../../_base_/datasets/street_scenes_boxes.py', '../../_base_/schedules/phases_det.py']
model = dict(
    type='skd_mm.Distiller',
    teacher=dict(cfg='configs/detection/street_scenes/retinanet-r18-w50_1xb8-12e.py',
                 checkpoint='work_dirs/retinanet-r18-w50_1xb8-12e/best_coco_bbox_mAP_*.pth'),
    student=dict(cfg='configs/_base_/models/retinanet_r18-w25.py'),
    spots='backbone')
schedule = dict(type='BackboneFirst', phase_epochs=2, head=dict(epochs=6))
