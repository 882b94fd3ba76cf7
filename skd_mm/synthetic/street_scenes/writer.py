"""Data sets of street scenes on disk."""

import json
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np

from skd_mm.utils import atomic_folder

from .boxes import Box, coco_annotations, object_boxes
from .scene import street_scene_with_objects

SPLITS = ('train', 'val', 'test')
MARKER = 'street_scenes.json'
"""File that marks a complete data set and records how it was generated."""

ANNOTATIONS = 'annotations'
"""Folder of the bounding boxes."""

_VERSION = 1  # increase it with any change to the images, so that existing data sets are generated again


def make_street_scenes(root: str | os.PathLike,
                       train: int = 120,
                       val: int = 24,
                       test: int = 48,
                       size: tuple[int, int] = (96, 128),
                       seed: int = 0,
                       boxes: bool = False) -> Path:
    """Generate a data set of street scenes that ``CamVidDataset`` reads.

    ``root`` is created atomically. An existing data set is kept if it is complete and was generated with the same
    arguments; otherwise it is replaced. An image depends only on the seed, its split, its index and the size, so a
    larger data set contains the smaller one.

    Args:
        root: Folder to create: ``{train,val,test}/scene_NNNN.png`` and ``{train,val,test}annot/scene_NNNN.png``.
        train: Number of training images. Defaults to 120.
        val: Number of validation images. Defaults to 24.
        test: Number of test images. Defaults to 48.
        size: Height and width of the images. Defaults to (96, 128).
        seed: Seed of all scenes. Defaults to 0.
        boxes: Also write the bounding boxes of cars, pedestrians, bicyclists and signs, in COCO's format, as
            ``annotations/{train,val,test}.json``. Defaults to False.

    Returns:
        ``root``.

    Raises:
        ValueError: A count is negative, or the size is less than 32 on a side.
        FileExistsError: ``root`` exists and contains other files, which are left alone.
    """
    counts = dict(zip(SPLITS, (train, val, test), strict=True))
    for split, count in counts.items():
        if count < 0:
            raise ValueError(f'{split} must not be negative, but is {count}')
    if min(size) < 32:
        raise ValueError(f'size must be at least 32 on each side, but is {tuple(size)}')
    root = Path(root)
    settings = {'version': _VERSION, 'counts': counts, 'size': list(size), 'seed': seed}
    if boxes:
        settings['boxes'] = True
    if _is_complete(root, settings):
        return root
    _check_replaceable(root)
    with atomic_folder(root) as tmp:
        for split_index, (split, count) in enumerate(counts.items()):
            scenes = _write_split(tmp, split, count, size, (seed, split_index))
            if boxes:
                (tmp / ANNOTATIONS).mkdir(exist_ok=True)
                (tmp / ANNOTATIONS / f'{split}.json').write_text(json.dumps(coco_annotations(scenes, size)) + '\n')
        (tmp / MARKER).write_text(json.dumps(settings) + '\n')
        if root.exists():
            shutil.rmtree(root)
    return root


def _write_split(root: Path, split: str, count: int, size: tuple[int, int],
                 seed: tuple[int, ...]) -> list[tuple[str, list[Box]]]:
    """Write the images and labels of a split, and return the file names and boxes."""
    scenes = []
    images, labels = root / split, root / f'{split}annot'
    images.mkdir()
    labels.mkdir()
    for i in range(count):
        image, label, instances = street_scene_with_objects(size, (*seed, i))
        _write(images / _file_name(i), image[..., ::-1])
        _write(labels / _file_name(i), label)
        scenes.append((_file_name(i), object_boxes(label, instances)))
    return scenes


def _file_name(index: int) -> str:
    return f'scene_{index:04d}.png'


def _write(path: Path, image: np.ndarray) -> None:
    if not cv2.imwrite(str(path), image):
        raise OSError(f'could not write {path}')


def _is_complete(root: Path, settings: dict) -> bool:
    """Return whether ``root`` holds exactly the files of a data set with these settings."""
    try:
        recorded = json.loads((root / MARKER).read_text())
    except (OSError, ValueError):
        return False
    if recorded != settings:
        return False
    if settings.get('boxes') and any(not (root / ANNOTATIONS / f'{split}.json').is_file() for split in SPLITS):
        return False
    for split, count in settings['counts'].items():
        expected = {_file_name(i) for i in range(count)}
        for folder in (root / split, root / f'{split}annot'):
            if {file.name for file in folder.glob('*')} != expected:
                return False
    return True


def _check_replaceable(root: Path) -> None:
    """Raise FileExistsError unless ``root`` is missing, or holds only files of an earlier data set."""
    if not root.is_symlink() and not root.exists():
        return
    ours = re.compile(rf'({"|".join(SPLITS)})(annot)?(/scene_\d+\.png)?|{re.escape(MARKER)}'
                      rf'|{ANNOTATIONS}(/({"|".join(SPLITS)})\.json)?')
    other = None
    if root.is_symlink() or not root.is_dir():
        other = root
    else:
        for path in root.rglob('*'):
            if not ours.fullmatch(path.relative_to(root).as_posix()):
                other = path
                break
    if other is not None:
        raise FileExistsError(f'{root} contains other files than street scenes ({other}); give another folder, or '
                              'remove it')
