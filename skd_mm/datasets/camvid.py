"""CamVid in the layout of the SegNet tutorial: 11 classes, the rest unlabelled."""

import os
from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
from mmengine import fileio
from mmseg.datasets import BaseSegDataset
from PIL import Image

from skd_mm.registry import DATASETS
from skd_mm.utils import did_you_mean

CLASSES = ('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'signsymbol', 'fence', 'car', 'pedestrian',
           'bicyclist')
PALETTE = [[128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [0, 0, 192], [128, 128, 0],
           [192, 128, 128], [64, 64, 128], [64, 0, 128], [64, 64, 0], [0, 128, 192]]
UNLABELLED = len(CLASSES)
"""The id that the label files give to whatever is in none of the classes."""

_NAMES = (*CLASSES, 'unlabelled')
_COLOURS = [*PALETTE, [0, 0, 0]]
_IMAGE_SUFFIXES = ('.png', '.jpg')
_END_MARKS = {'.png': b'IEND', '.jpg': b'\xff\xd9'}
_LAYOUT = ("the layout of the SegNet tutorial: '{train,val,test}/NAME.png' (or .jpg) beside "
           "'{train,val,test}annot/NAME.png'; tools/dataset_converters/camvid.py makes it from the original release")


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """CamVid with the 11 classes in common use (Brostow et al. 2009; classes and split of SegNet, arXiv 1511.00561).

    The layout is that of the SegNet tutorial::

        camvid/
          train/NAME.png   trainannot/NAME.png     367 images
          val/NAME.png     valannot/NAME.png       101
          test/NAME.png    testannot/NAME.png      233

    Images end in ``.png`` or ``.jpg``, in one folder mixed if need be. Labels are 8-bit images of ids 0-10, and 11 for
    unlabelled, which mmsegmentation's ``label_map`` turns into ``ignore_index`` when ``LoadAnnotations`` reads a file.

    Every file is looked at when the data set is loaded (the ends and sizes of the images, all of each label: under
    half a second for the training split), so that a broken one is found before training and not hours into it.

    Args:
        data_prefix: Folders of the images and their labels below ``data_root``; for the other splits
            ``dict(img_path='val', seg_map_path='valannot')`` and the like. Without ``seg_map_path`` there are no
            labels. Defaults to the training split.
        ann_file: A text file that names the images to use, one a line, as ``NAME``, ``NAME.png`` or a path that ends
            so (SegNet's own ``train.txt``). Defaults to all images of the folder.
        metainfo: With ``classes``, a selection of the 11 classes and ``'unlabelled'`` in any order: ids follow it and
            what it leaves out is ignored. All twelve names train on unlabelled as a class, as the SKD authors do.
        check_files: Whether to look at every file on loading. Defaults to True.
        **kwargs: As in mmsegmentation's ``BaseSegDataset``; the suffixes are not among them.

    Raises:
        FileNotFoundError: A folder, or an image's label, is missing, or a folder has no images.
        ValueError: A file is cut short, a label is no 8-bit image of ids 0-11 or of another size than its image, or two
            images share a name. The message names the file.
    """

    METAINFO = dict(classes=CLASSES, palette=PALETTE)

    def __init__(self,
                 data_prefix: dict | None = None,
                 ann_file: str = '',
                 metainfo: dict | None = None,
                 check_files: bool = True,
                 **kwargs: Any) -> None:
        self.check_files = check_files
        super().__init__(
            ann_file=ann_file,
            metainfo=metainfo,
            data_prefix=dict(img_path='train', seg_map_path='trainannot') if data_prefix is None else data_prefix,
            seg_map_suffix='.png',
            **kwargs)

    @classmethod
    def get_label_map(cls, new_classes: Sequence[str] | None = None) -> dict[int, int]:
        """The ids of the label files that change on loading, and what they become (see ``BaseSegDataset``)."""
        new = list(CLASSES if new_classes is None else new_classes)
        for name in new:
            if name not in _NAMES:
                raise ValueError(f'CamVid has no class {name!r}{did_you_mean(name, _NAMES)}; its classes are '
                                 f"{', '.join(_NAMES)}")
        ids = {old: new.index(name) if name in new else 255 for old, name in enumerate(_NAMES)}
        return {old: i for old, i in ids.items() if old != i}

    def _update_palette(self) -> list:
        if self._metainfo.get('palette') != PALETTE:
            return super()._update_palette()
        return [_COLOURS[_NAMES.index(name)] for name in self._metainfo['classes']]

    def load_data_list(self) -> list[dict]:
        """Lists the images in sorted order and checks their files."""
        images = self._images()
        if self.ann_file:
            images = self._selected(images)
        data_list = []
        for name in sorted(images):
            info = dict(
                img_path=os.path.join(self.data_prefix['img_path'], images[name]),
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[])
            if self.data_prefix.get('seg_map_path') is not None:
                info['seg_map_path'] = os.path.join(self.data_prefix['seg_map_path'], name + self.seg_map_suffix)
            if self.check_files:
                self._check(info)
            data_list.append(info)
        return data_list

    def _images(self) -> dict[str, str]:
        """The images of the folder: names without suffix, and with it."""
        for key, folder in self.data_prefix.items():
            if not fileio.isdir(folder, backend_args=self.backend_args):
                raise FileNotFoundError(f'{key}: there is no folder {folder!r}. CamVidDataset reads {_LAYOUT}')
        folder = self.data_prefix['img_path']
        images: dict[str, str] = {}
        for file in fileio.list_dir_or_file(
                folder, list_dir=False, suffix=_IMAGE_SUFFIXES, recursive=True, backend_args=self.backend_args):
            name = os.path.splitext(file)[0]
            if name in images:
                raise ValueError(f'{folder}: {file!r} and {images[name]!r} share a name, and so would share a label')
            images[name] = file
        if not images:
            raise FileNotFoundError(
                f"{folder}: no {' or '.join(_IMAGE_SUFFIXES)} images. CamVidDataset reads {_LAYOUT}")
        return images

    def _selected(self, images: dict[str, str]) -> dict[str, str]:
        if not fileio.isfile(self.ann_file, backend_args=self.backend_args):
            raise FileNotFoundError(f'ann_file: there is no file {self.ann_file!r}')
        text = fileio.get_text(self.ann_file, backend_args=self.backend_args)
        selected = {}
        for line in filter(str.strip, text.splitlines()):
            file = line.split()[0]
            name = os.path.splitext(file)[0] if file.endswith(_IMAGE_SUFFIXES) else file
            if name not in images:  # SegNet's lists hold the paths of its authors' machine
                name = os.path.basename(name)
            if name not in images:
                raise FileNotFoundError(f"{self.ann_file}: {file!r} is not in {self.data_prefix['img_path']!r}"
                                        f'{did_you_mean(name, images)}')
            selected[name] = images[name]
        return selected

    def _check(self, info: dict) -> None:
        size = None
        if self.backend_args is None:  # the end of a file is cheap to read where files are local
            with open(info['img_path'], 'rb') as file:
                _check_end(info['img_path'], file)
                size = _size(info['img_path'], file)
        path = info.get('seg_map_path')
        if path is not None:
            if not fileio.isfile(path, backend_args=self.backend_args):
                raise FileNotFoundError(f"{info['img_path']} has no label: there is no file {path!r}")
            shape = check_label_file(path, self.backend_args)
            if size is not None and shape != size[::-1]:
                raise ValueError(f'{path}: the label is {shape[1]}x{shape[0]} pixels, its image {size[0]}x{size[1]}')


def check_label_file(path: str, backend_args: dict | None = None) -> tuple[int, int]:
    """Makes sure that a label file is whole and holds nothing but CamVid's ids.

    Args:
        path: The label file.
        backend_args: The file backend, as in mmsegmentation's data sets. Defaults to local files.

    Returns:
        The label's height and width.

    Raises:
        ValueError: The file is cut short, is no 8-bit image of one channel, or has labels outside 0-11.
    """
    label = read_label(path, backend_args)
    if label.max() > UNLABELLED:
        outside = np.unique(label[label > UNLABELLED])
        shown = ', '.join(map(str, outside[:5])) + (', …' if len(outside) > 5 else '')
        raise ValueError(f'{path}: labels outside the classes: {shown}. CamVid has 0-{UNLABELLED - 1}, and '
                         f'{UNLABELLED} for unlabelled')
    return label.shape


def read_label(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Reads a label file as mmsegmentation's ``LoadAnnotations`` does, but with errors that name it.

    Args:
        path: The label file.
        backend_args: The file backend. Defaults to local files.

    Returns:
        The ids, (H, W) uint8, as they are in the file.

    Raises:
        ValueError: The file is cut short or is no 8-bit image of one channel.
    """
    data = fileio.get(path, backend_args=backend_args)
    try:
        label = mmcv.imfrombytes(data, flag='unchanged', backend='pillow').squeeze()
    except Exception as error:
        raise ValueError(f'{path}: not a whole image: {error}') from error
    if path.endswith('.png') and _END_MARKS['.png'] not in data[-4096:]:  # Pillow makes up for a missing end
        raise ValueError(f'{path}: the image file is cut short')
    if label.ndim != 2 or label.dtype != np.uint8:
        raise ValueError(f'{path}: a label must be an 8-bit image of one channel, not {label.dtype} of shape '
                         f'{label.shape}. CamVidDataset reads {_LAYOUT}')
    return label


def _check_end(path: str, file: Any) -> None:
    """Some versions of OpenCV fill what is missing of a JPEG with grey, so a file that is cut short is found here."""
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - 4096))
    if _END_MARKS[os.path.splitext(path)[1]] not in file.read():
        raise ValueError(f'{path}: the image file is cut short')


def _size(path: str, file: Any) -> tuple[int, int]:
    file.seek(0)
    try:
        return Image.open(file).size
    except Exception as error:
        raise ValueError(f'{path}: not an image: {error}') from error
