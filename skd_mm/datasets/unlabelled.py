"""Images without labels."""

import fnmatch
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from mmengine import fileio
from mmengine.dataset import BaseDataset

from skd_mm.registry import DATASETS
from skd_mm.utils import did_you_mean

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


@DATASETS.register_module()
class UnlabelledDataset(BaseDataset):
    """The images of a folder, without labels, for segmentation, classification and detection alike.

    Images may have any size and lie in nested folders. They are sorted by name, so that data fractions do not depend on
    the order in which a file system lists them.

    Args:
        data_root: The folder.
        pattern: A pattern of file names, or several, in the syntax of a shell: ``'*.png'``, ``'seq_1/*'``. It is
            matched with the path relative to ``data_root``, and ``*`` also matches ``/``. Defaults to ``'*'``.
        list_file: A text file with the images to use, one path relative to ``data_root`` per line. Empty lines and
            those that begin with ``#`` are skipped. Relative paths of this file are relative to the working directory.
            Defaults to all images of the folder.
        recursive: Whether to search nested folders. Defaults to True.
        suffixes: The suffixes of image files, in lower case; ``.JPG`` counts as ``.jpg``.
        pipeline: The transforms. If it is missing in an ``unlabelled_dataloader``, it is that of the training data
            without the transforms of labels.
        backend_args: As in MMEngine, for images that are not on a local disk. Defaults to None.
        **kwargs: As for MMEngine's ``BaseDataset``.

    Raises:
        FileNotFoundError: The folder, the list or a listed image does not exist, or there is no image.
        ValueError: The list is no text file.

    Example:
        >>> unlabelled_dataloader = dict(dataset=dict(type='skd_mm.UnlabelledDataset', data_root='data/my_images'))
    """

    METAINFO: dict[str, Any] = {}

    def __init__(self, data_root: str, pattern: str | Sequence[str] = '*', list_file: str = '', recursive: bool = True,
                 suffixes: Sequence[str] = SUFFIXES, pipeline: Sequence[Any] = (),
                 backend_args: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self.patterns = [pattern] if isinstance(pattern, str) else list(pattern)
        self.list_file = list_file
        self.recursive = recursive
        self.suffixes = tuple(suffix.lower() for suffix in suffixes)
        self.backend_args = backend_args
        super().__init__(data_root=data_root, data_prefix={}, pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the images, sorted by their names."""
        folder = self.data_root
        if not fileio.isdir(folder, backend_args=self.backend_args):
            raise FileNotFoundError(f'data_root: there is no folder {folder!r}')
        files = set(fileio.list_dir_or_file(folder, list_dir=False, recursive=self.recursive,
                                            backend_args=self.backend_args))
        images = {file for file in files if file.lower().endswith(self.suffixes)}
        if self.list_file:
            images = self._listed(images)
        matching = sorted(image for image in images
                          if any(fnmatch.fnmatchcase(image.replace(os.sep, '/'), each) for each in self.patterns))
        if not matching:
            raise FileNotFoundError(self._why_empty(folder, files, images))
        # mmdetection packs `img_id`.
        return [dict(img_path=os.path.join(folder, image), img_id=i, seg_fields=[], reduce_zero_label=False)
                for i, image in enumerate(matching)]

    def _listed(self, images: set[str]) -> set[str]:
        """Return the images that ``list_file`` names."""
        if not fileio.isfile(self.list_file, backend_args=self.backend_args):
            raise FileNotFoundError(f'list_file: there is no file {self.list_file!r}')
        try:
            lines = fileio.get_text(self.list_file, backend_args=self.backend_args).splitlines()
        except UnicodeDecodeError as error:
            raise ValueError(f'list_file: {self.list_file!r} is no text file: {error}') from error
        named = {line.strip().removeprefix('./') for line in lines if line.strip() and not line.startswith('#')}
        for name in sorted(named - images):
            raise FileNotFoundError(f'list_file: {self.list_file!r} names {name!r}, which is not among the images of '
                                    f'data_root={self.data_root!r}{did_you_mean(name, images)}')
        return named

    def _why_empty(self, folder: str, files: set[str], images: set[str]) -> str:
        if images:
            example = min(images)
            return (f'data_root: none of the {len(images)} images of {folder!r} matches pattern={self.patterns}; the '
                    f'first one is {example!r}')
        if self.list_file:
            return f'list_file: {self.list_file!r} names no image'
        counts = Counter(os.path.splitext(file)[1].lower() or 'no suffix' for file in files)
        found = ', '.join(f'{count} with {suffix}' for suffix, count in counts.most_common(5)) or 'no file'
        nested = '' if self.recursive else '; recursive=False skips nested folders'
        return (f'data_root: {folder!r} has no images with the suffixes {list(self.suffixes)}; it has {found}{nested}')
