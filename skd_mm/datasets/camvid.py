"""CamVid in the layout of the SegNet tutorial: 11 classes and unlabelled."""

import os
from collections.abc import Sequence
from typing import Any

from mmengine import fileio
from mmseg.datasets import BaseSegDataset

from skd_mm.registry import DATASETS
from skd_mm.utils import did_you_mean

from .label_files import LabelFormatError, check_image, check_label

CLASSES = ('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'signsymbol', 'fence', 'car', 'pedestrian',
           'bicyclist')
PALETTE = [[128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [0, 0, 192], [128, 128, 0],
           [192, 128, 128], [64, 64, 128], [64, 0, 128], [64, 64, 0], [0, 128, 192]]
UNLABELLED = len(CLASSES)
"""Id of everything outside the classes in the label files."""

_NAMES = (*CLASSES, 'unlabelled')
_COLOURS = [*PALETTE, [0, 0, 0]]
_IMAGE_SUFFIXES = ('.png', '.jpg')
_LAYOUT = ("the layout of the SegNet tutorial: '{train,val,test}/NAME.png' (or .jpg) and "
           "'{train,val,test}annot/NAME.png'; tools/dataset_converters/camvid.py converts the original release")


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """CamVid with the 11 classes in common use (Brostow et al. 2009; classes and split of SegNet, arXiv 1511.00561).

    The layout is that of the SegNet tutorial::

        camvid/
          train/NAME.png   trainannot/NAME.png     367 images
          val/NAME.png     valannot/NAME.png       101
          test/NAME.png    testannot/NAME.png      233

    Images end in ``.png`` or ``.jpg``; a folder may contain both. Labels are 8-bit images of ids 0-10, and 11 for
    unlabelled, which mmsegmentation's ``label_map`` turns into ``ignore_index`` when ``LoadAnnotations`` reads a file.

    Every file is checked when the data set is loaded (the ends and sizes of the images, all of each label: less than
    half a second for the training split), so that errors appear before the training.

    Args:
        data_prefix: Folders of the images and their labels below ``data_root``; for the other splits
            ``dict(img_path='val', seg_map_path='valannot')`` and the like. Without ``seg_map_path`` there are no
            labels. Defaults to None, the training split.
        ann_file: A text file that lists the images to use, one per line, as ``NAME``, ``NAME.png`` or a path that ends
            so (like SegNet's ``train.txt``). Defaults to all images of the folder.
        metainfo: With ``classes``, a selection of the 11 classes and ``'unlabelled'`` in any order, which determines
            the ids; the other classes are ignored. With all twelve names, unlabelled is a class, as in the code of the
            SKD authors. Defaults to None, the 11 classes.
        check_files: Whether to check every file. Defaults to True.
        **kwargs: As in mmsegmentation's ``BaseSegDataset``, except for the suffixes.

    Raises:
        FileNotFoundError: A folder, or an image's label, is missing, or a folder has no images.
        ValueError: A file is truncated, a label is not an 8-bit image of ids 0-11, a label and its image differ in
            size, or two images have the same name. The message names the file.
    """

    METAINFO = dict(classes=CLASSES, palette=PALETTE)

    def __init__(self,
                 data_prefix: dict | None = None,
                 ann_file: str = '',
                 metainfo: dict | None = None,
                 check_files: bool = True,
                 **kwargs: Any) -> None:
        self.check_files = check_files
        if data_prefix is None:
            data_prefix = dict(img_path='train', seg_map_path='trainannot')
        super().__init__(
            ann_file=ann_file, metainfo=metainfo, data_prefix=data_prefix, seg_map_suffix='.png', **kwargs)

    @classmethod
    def get_label_map(cls, new_classes: Sequence[str] | None = None) -> dict[int, int]:
        """Return the ids of the label files that change on loading.

        Args:
            new_classes: Names of the classes. Defaults to None, the 11 classes.

        Returns:
            The new id of each changed id, see ``BaseSegDataset``; 255 for those that are ignored.

        Raises:
            ValueError: A class is unknown.
        """
        selected = list(CLASSES if new_classes is None else new_classes)
        for name in selected:
            if name not in _NAMES:
                raise ValueError(f'CamVid has no class {name!r}{did_you_mean(name, _NAMES)}; its classes are '
                                 f"{', '.join(_NAMES)}")
        label_map = {}
        for old, name in enumerate(_NAMES):
            new = selected.index(name) if name in selected else 255
            if new != old:
                label_map[old] = new
        return label_map

    def _update_palette(self) -> list:
        if self._metainfo.get('palette') != PALETTE:
            return super()._update_palette()
        return [_COLOURS[_NAMES.index(name)] for name in self._metainfo['classes']]

    def load_data_list(self) -> list[dict]:
        """List the images in sorted order, and check their files."""
        images = self._find_images()
        if self.ann_file:
            images = self._select_images(images)
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
                self._check_files(info)
            data_list.append(info)
        return data_list

    def _find_images(self) -> dict[str, str]:
        """Return the files of the images by their names without suffix."""
        for key, folder in self.data_prefix.items():
            if not fileio.isdir(folder, backend_args=self.backend_args):
                raise FileNotFoundError(f'{key}: there is no folder {folder!r}. CamVidDataset reads {_LAYOUT}')
        folder = self.data_prefix['img_path']
        images: dict[str, str] = {}
        for file in fileio.list_dir_or_file(
                folder, list_dir=False, suffix=_IMAGE_SUFFIXES, recursive=True, backend_args=self.backend_args):
            name = os.path.splitext(file)[0]
            if name in images:
                raise ValueError(f'{folder}: {file!r} and {images[name]!r} share a name, and would share a label')
            images[name] = file
        if not images:
            raise FileNotFoundError(
                f"{folder}: no {' or '.join(_IMAGE_SUFFIXES)} images. CamVidDataset reads {_LAYOUT}")
        return images

    def _select_images(self, images: dict[str, str]) -> dict[str, str]:
        """Return the images that ``ann_file`` lists."""
        if not fileio.isfile(self.ann_file, backend_args=self.backend_args):
            raise FileNotFoundError(f'ann_file: there is no file {self.ann_file!r}')
        text = fileio.get_text(self.ann_file, backend_args=self.backend_args)
        selected = {}
        for line in filter(str.strip, text.splitlines()):
            file = line.split()[0]
            name = os.path.splitext(file)[0] if file.endswith(_IMAGE_SUFFIXES) else file
            if name not in images:  # SegNet's lists contain paths of the authors' machine
                name = os.path.basename(name)
            if name not in images:
                raise FileNotFoundError(f"{self.ann_file}: {file!r} is not in {self.data_prefix['img_path']!r}"
                                        f'{did_you_mean(name, images)}')
            selected[name] = images[name]
        return selected

    def _check_files(self, info: dict) -> None:
        """Check the files of a sample; images only if they are local, as that reads only their ends."""
        image_size = None
        if self.backend_args is None:
            image_size = check_image(info['img_path'])
        path = info.get('seg_map_path')
        if path is None:
            return
        if not fileio.isfile(path, backend_args=self.backend_args):
            raise FileNotFoundError(f"{info['img_path']} has no label: there is no file {path!r}")
        try:
            height, width = check_label(path, UNLABELLED, self.backend_args)
        except LabelFormatError as error:
            raise ValueError(f'{error}. CamVidDataset reads {_LAYOUT}') from error
        if image_size is not None and (width, height) != image_size:
            raise ValueError(f'{path}: the label is {width}x{height} pixels, its image '
                             f'{image_size[0]}x{image_size[1]}')
