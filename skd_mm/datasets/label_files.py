"""Reading and checking image and label files, with errors that name the file."""

import os
from typing import IO

import mmcv
import numpy as np
from mmengine import fileio
from PIL import Image

_END_MARKS = {'.png': b'IEND', '.jpg': b'\xff\xd9'}
_TAIL = 4096
"""Number of bytes at the end of a file to search for its end mark."""


class LabelFormatError(ValueError):
    """A label is not an 8-bit image of one channel."""


def read_label(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Read a label file like mmsegmentation's ``LoadAnnotations``, but with errors that name the file.

    Args:
        path: The label file.
        backend_args: The file backend. Defaults to None, local files.

    Returns:
        The ids in the file, ``[H, W]`` uint8.

    Raises:
        LabelFormatError: The file is not an 8-bit image of one channel.
        ValueError: The file is truncated or not an image.
    """
    data = fileio.get(path, backend_args=backend_args)
    try:
        label = mmcv.imfrombytes(data, flag='unchanged', backend='pillow').squeeze()
    except Exception as error:
        raise ValueError(f'{path}: not a whole image: {error}') from error
    if path.endswith('.png') and _END_MARKS['.png'] not in data[-_TAIL:]:  # Pillow accepts a missing end
        raise ValueError(f'{path}: the image file is truncated')
    if label.ndim != 2 or label.dtype != np.uint8:
        raise LabelFormatError(f'{path}: a label must be an 8-bit image of one channel, not {label.dtype} of shape '
                               f'{label.shape}')
    return label


def check_label(path: str, max_id: int, backend_args: dict | None = None) -> tuple[int, int]:
    """Check that a label file is complete and contains no ids above a maximum.

    Args:
        path: The label file.
        max_id: The largest valid id.
        backend_args: The file backend, as in mmsegmentation's data sets. Defaults to None, local files.

    Returns:
        Height and width of the label.

    Raises:
        LabelFormatError: The file is not an 8-bit image of one channel.
        ValueError: The file is truncated or not an image, or contains other ids.
    """
    label = read_label(path, backend_args)
    if label.max() > max_id:
        invalid = np.unique(label[label > max_id])
        shown = ', '.join(map(str, invalid[:5])) + (', …' if len(invalid) > 5 else '')
        raise ValueError(f'{path}: labels outside the classes: {shown}. The ids are 0-{max_id}')
    return label.shape


def check_image(path: str) -> tuple[int, int]:
    """Check that a local image file has an end, without decoding it.

    Some versions of OpenCV fill the missing part of a truncated JPEG with grey, without an error.

    Args:
        path: The image file, PNG or JPEG.

    Returns:
        Width and height of the image.

    Raises:
        ValueError: The file is truncated or not an image.
    """
    with open(path, 'rb') as file:
        if _END_MARKS[os.path.splitext(path)[1]] not in _read_tail(file):
            raise ValueError(f'{path}: the image file is truncated')
        file.seek(0)
        try:
            return Image.open(file).size
        except Exception as error:
            raise ValueError(f'{path}: not an image: {error}') from error


def _read_tail(file: IO[bytes]) -> bytes:
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - _TAIL))
    return file.read()
