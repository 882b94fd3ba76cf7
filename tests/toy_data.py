"""Small data and networks for shipped configs: every data set in its own layout, with drawn images."""

import os
import pickle
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config

# One percent of a segmentation data set and ten percent of a classification one are a batch of the shipped configs.
SCENES = 100
PER_CLASS = 70


def write_data_sets(root: Path) -> None:
    """Writes them into ``root/data``, and the demo's street scenes to where it writes them."""
    rng = np.random.default_rng(0)
    data = root / 'data'
    _write_camvid(data / 'camvid', rng)
    scenes = root / 'work_dirs/demo/street_scenes'
    scenes.parent.mkdir(parents=True)
    scenes.symlink_to(data / 'camvid')
    _write_cityscapes(data / 'cityscapes', rng)
    _write_ade20k(data / 'ade/ADEChallengeData2016', rng)
    _write_pascal(data / 'VOCdevkit', rng)
    for split in ('train', 'val'):
        for name in ('imagenette2', 'imagewoof2'):
            _write_classes(data / name / split, rng, classes=10, side=64)
        _write_classes(data / 'imagenet' / split, rng, classes=1000, side=64, count=1)
    _write_classes(data / 'tiny-imagenet-200/train', rng, classes=200, side=64, count=4)
    validation = _linked(data / 'tiny-imagenet-200/val/images', _image(rng, 64, 64), 4)
    (data / 'tiny-imagenet-200/val.txt').write_text(''.join(f'{path.name} {i}\n' for i, path in enumerate(validation)))
    _write_cifar(data, rng)


def _image(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return rng.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)


def _labels(rng: np.random.Generator, height: int, width: int, classes: int) -> np.ndarray:
    return rng.integers(0, classes, (height // 8, width // 8), dtype=np.uint8).repeat(8, 0).repeat(8, 1)


def _linked(folder: Path, image: np.ndarray, count: int, suffix: str = '.png') -> list[Path]:
    """Writes an image once, and links it under further names."""
    folder.mkdir(parents=True)
    paths = [folder / f'{i:03d}{suffix}' for i in range(count)]
    cv2.imwrite(str(paths[0]), image)
    for path in paths[1:]:
        os.link(paths[0], path)
    return paths


def _write_camvid(root: Path, rng: np.random.Generator) -> None:
    for split, count in (('train', SCENES), ('val', 2), ('test', 2)):
        _linked(root / split, _image(rng, 360, 480), count)
        _linked(root / f'{split}annot', _labels(rng, 360, 480, 12), count)


def _write_cityscapes(root: Path, rng: np.random.Generator) -> None:
    for split, count in (('train', SCENES), ('val', 2)):
        _linked(root / f'leftImg8bit/{split}/city', _image(rng, 512, 1024), count, '_leftImg8bit.png')
        _linked(root / f'gtFine/{split}/city', _labels(rng, 512, 1024, 19), count, '_gtFine_labelTrainIds.png')


def _write_ade20k(root: Path, rng: np.random.Generator) -> None:
    for split in ('training', 'validation'):
        _linked(root / f'images/{split}', _image(rng, 512, 512), 16, '.jpg')
        _linked(root / f'annotations/{split}', _labels(rng, 512, 512, 151), 16)


def _write_pascal(root: Path, rng: np.random.Generator) -> None:
    for year, lists, classes in (('VOC2012', 'Segmentation', 21), ('VOC2010', 'SegmentationContext', 60)):
        images = _linked(root / year / 'JPEGImages', _image(rng, 512, 512), 16, '.jpg')
        for folder in ('Class', 'ClassAug') if year == 'VOC2012' else ('ClassContext', ):
            _linked(root / year / f'Segmentation{folder}', _labels(rng, 512, 512, classes), 16)
        (root / year / 'ImageSets' / lists).mkdir(parents=True)
        for split in ('train', 'aug', 'val'):
            text = ''.join(f'{path.stem}\n' for path in images)
            (root / year / 'ImageSets' / lists / f'{split}.txt').write_text(text)


def _write_classes(root: Path, rng: np.random.Generator, classes: int, side: int, count: int = PER_CLASS) -> None:
    for k in range(classes):
        _linked(root / f'n{k:08d}', _image(rng, side, side), count)


def _write_cifar(root: Path, rng: np.random.Generator) -> None:
    def batch(key: str, classes: int, count: int) -> dict:
        return {'data': rng.integers(0, 255, (count, 3072), dtype=np.uint8), key: [i % classes for i in range(count)]}

    for folder, key, classes, train in (
            ('cifar-10-batches-py', 'labels', 10, [f'data_batch_{i}' for i in range(1, 6)]),
            ('cifar-100-python', 'fine_labels', 100, ['train'])):
        (root / folder).mkdir(parents=True)
        for name in train:
            (root / folder / name).write_bytes(pickle.dumps(batch(key, classes, 10 * PER_CLASS // len(train))))
        for name in ('test_batch', 'test'):
            (root / folder / name).write_bytes(pickle.dumps(batch(key, classes, classes)))
        for name in ('batches.meta', 'meta'):
            names = [f'class{k}' for k in range(classes)]
            (root / folder / name).write_bytes(pickle.dumps(dict(label_names=names, fine_label_names=names)))


def thin_network(cfg):
    """Narrow a network of a shipped config in place: a model's config, or one that names a config."""
    source = str(cfg.get('cfg'))
    if 'unet-' in source:
        cfg['options'] = {'model.backbone.width': 0.125, 'model.decode_head.width': 0.125}
        return
    expansion = 4 if 'r101' in source or cfg.get('backbone', {}).get('depth') == 101 else 1
    changes = {'pretrained': None, 'decode_head.channels': 8, 'auxiliary_head.channels': 8}
    if 'mobilenet' in source:
        changes |= {'backbone.widen_factor': 0.25, 'decode_head.in_channels': 80, 'auxiliary_head.in_channels': 24}
    else:
        changes |= {'backbone.base_channels': 8, 'backbone.stem_channels': 8,
                    'decode_head.in_channels': 64 * expansion, 'auxiliary_head.in_channels': 32 * expansion}
    if 'cfg' in cfg:
        cfg['options'] = {**(cfg.get('options') or {}), **{f'model.{key}': value for key, value in changes.items()}}
    else:
        thin = Config(dict(model=cfg))
        thin.merge_from_dict({f'model.{key}': value for key, value in changes.items()})
        cfg.update(thin.model)
