"""Thin detectors of mmdetection, and toy images with boxes in COCO's and VOC's formats."""

import json

import cv2
import numpy as np
import pytest
from mmengine.registry import MODELS, init_default_scope

from skd_mm.distillers.networks import read_config

CLASSES = ('car', 'person', 'sign')
_BACKBONE = {'backbone.depth': 18, 'backbone.init_cfg': None, 'backbone.base_channels': 8,
             'neck.in_channels': [8, 16, 32, 64], 'neck.out_channels': 16}
THIN = {
    'retinanet': {**_BACKBONE, 'bbox_head.in_channels': 16, 'bbox_head.feat_channels': 16},
    'faster-rcnn': {**_BACKBONE, 'rpn_head.in_channels': 16, 'rpn_head.feat_channels': 16,
                    'roi_head.bbox_roi_extractor.out_channels': 16, 'roi_head.bbox_head.in_channels': 16,
                    'roi_head.bbox_head.fc_out_channels': 32}}


def detector_config(name='retinanet', **changes):
    """The config of a thin detector."""
    pytest.importorskip('mmdet', reason='mmdetection is not installed')
    cfg = read_config(f'mmdet::_base_/models/{name}_r50_fpn.py')
    cfg.merge_from_dict({f'model.{key}': value for key, value in {**THIN[name], **changes}.items()})
    return cfg.model


def detector(name='retinanet', **changes):
    """A thin detector."""
    cfg = detector_config(name, **changes)
    init_default_scope('mmdet')
    return MODELS.build(cfg)


def toy_scene(index, size=(64, 96)):
    """An image with two bright boxes, and these boxes with their classes."""
    random = np.random.RandomState(index)
    image = random.randint(0, 60, (*size, 3)).astype(np.uint8)
    boxes = []
    for _ in range(2):
        kind = int(random.randint(len(CLASSES)))
        left, top = int(random.randint(0, size[1] - 40)), int(random.randint(0, size[0] - 40))
        width, height = (int(side) for side in random.randint(16, 40, 2))
        image[top:top + height, left:left + width, kind] += 150
        boxes.append((kind, left, top, width, height))
    return image, boxes


def write_coco(root, count=8, classes=CLASSES, image_folder='images', annotations='boxes.json', size=(64, 96)):
    """Write toy images and their boxes in COCO's format."""
    (root / image_folder).mkdir(parents=True, exist_ok=True)
    (root / annotations).parent.mkdir(parents=True, exist_ok=True)
    images, found = [], []
    for i in range(count):
        image, boxes = toy_scene(i, size)
        cv2.imwrite(str(root / image_folder / f'{i:04d}.png'), image)
        images.append(dict(id=i, file_name=f'{i:04d}.png', height=size[0], width=size[1]))
        found += [dict(id=2 * i + k + 1, image_id=i, category_id=kind + 1, bbox=list(box), area=box[2] * box[3],
                       iscrowd=0) for k, (kind, *box) in enumerate(boxes)]
    categories = [dict(id=i + 1, name=name) for i, name in enumerate(classes)]
    (root / annotations).write_text(json.dumps(dict(images=images, annotations=found, categories=categories)))
    return root


def write_voc(root, classes, years=('2007', '2012'), count=8, size=(64, 96)):
    """Write toy images and their boxes in VOC's format, the same for each year and split."""
    for year in years:
        folder = root / f'VOC{year}'
        for name in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            image, boxes = toy_scene(i, size)
            cv2.imwrite(str(folder / 'JPEGImages' / f'{i:06d}.jpg'), image)
            objects = ''.join(
                f'<object><name>{classes[kind]}</name><difficult>0</difficult><bndbox><xmin>{left + 1}</xmin>'
                f'<ymin>{top + 1}</ymin><xmax>{left + width}</xmax><ymax>{top + height}</ymax></bndbox></object>'
                for kind, left, top, width, height in boxes)
            (folder / 'Annotations' / f'{i:06d}.xml').write_text(
                f'<annotation><size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>'
                f'{objects}</annotation>')
        for split in ('trainval', 'test'):
            (folder / 'ImageSets/Main' / f'{split}.txt').write_text('\n'.join(f'{i:06d}' for i in range(count)) + '\n')
    return root
