"""Conversion of CamVid into the layout that ``CamVidDataset`` reads."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from mmengine.utils import ProgressBar
from PIL import Image

from skd_mm.datasets.camvid import CLASSES, UNLABELLED, CamVidDataset
from skd_mm.datasets.label_files import read_label
from skd_mm.utils import atomic_folder, did_you_mean

SPLITS = ('train', 'val', 'test')
SUFFIXES = ('.png', '.jpg')

COLOURS = {
    'sky': {'Sky': (128, 128, 128)},
    'building': {'Building': (128, 0, 0), 'Archway': (192, 0, 128), 'Bridge': (0, 128, 64), 'Tunnel': (64, 0, 64),
                 'Wall': (64, 192, 0)},
    'pole': {'Column_Pole': (192, 192, 128), 'TrafficCone': (0, 0, 64)},
    'road': {'Road': (128, 64, 128), 'LaneMkgsDriv': (128, 0, 192), 'LaneMkgsNonDriv': (192, 0, 64)},
    'pavement': {'Sidewalk': (0, 0, 192), 'ParkingBlock': (64, 192, 128), 'RoadShoulder': (128, 128, 192)},
    'tree': {'Tree': (128, 128, 0), 'VegetationMisc': (192, 192, 0)},
    'signsymbol': {'SignSymbol': (192, 128, 128), 'Misc_Text': (128, 128, 64), 'TrafficLight': (0, 64, 64)},
    'fence': {'Fence': (64, 64, 128)},
    'car': {'Car': (64, 0, 128), 'SUVPickupTruck': (64, 128, 192), 'Truck_Bus': (192, 128, 192),
            'Train': (192, 64, 128), 'OtherMoving': (128, 64, 64)},
    'pedestrian': {'Pedestrian': (64, 64, 0), 'Child': (192, 128, 64), 'CartLuggagePram': (64, 0, 192),
                   'Animal': (64, 128, 64)},
    'bicyclist': {'Bicyclist': (0, 128, 192), 'MotorcycleScooter': (192, 0, 192)},
    'unlabelled': {'Void': (0, 0, 0)},
}
"""Colours (R, G, B) of the 32 original classes, grouped by the class that each becomes."""

IDS = {colour: i for i, name in enumerate((*CLASSES, 'unlabelled')) for colour in COLOURS[name].values()}


class Frame(NamedTuple):
    """An image, its label, and where they go."""

    name: str
    split: str
    image: Path
    label: Path


def convert_camvid(src: Path,
                   out: Path,
                   splits: Path | None = None,
                   size: tuple[int, int] | None = None,
                   link: bool = False,
                   nproc: int = 1) -> tuple[dict[str, int], np.ndarray]:
    """Convert CamVid.

    Args:
        src: Folder to read.
        out: Folder to create.
        splits: Folder of the lists ``train.txt``, ``val.txt`` and ``test.txt`` if ``src`` is the original release;
            None if it has the layout of the SegNet tutorial, which is checked file by file. Defaults to None.
        size: Width and height to resize to: images by area, labels to the nearest neighbour. Defaults to None, no
            resizing.
        link: Whether to link files that need no change instead of copying them. Defaults to False.
        nproc: Number of processes. Defaults to 1.

    Returns:
        The number of frames of each split, and the number of pixels of each of the ids 0-11.

    Raises:
        FileExistsError: ``out`` exists and is not an empty folder.
        FileNotFoundError: A part of the source is missing.
        ValueError: A file of the source is damaged; the message names it.
    """
    if not src.is_dir():
        raise FileNotFoundError(f'there is no folder {src}')
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f'{out} already exists; remove it or give another folder')
    if splits is None:
        frames = segnet_frames(src)
    else:
        frames = original_frames(src, read_splits(splits))
    pixels = np.zeros(UNLABELLED + 1, np.int64)
    counts = dict.fromkeys(SPLITS, 0)
    with atomic_folder(out) as tmp:
        for split in SPLITS:
            (tmp / split).mkdir()
            (tmp / f'{split}annot').mkdir()
            names = [frame.name for frame in frames if frame.split == split]
            (tmp / f'{split}.txt').write_text('\n'.join([*names, '']))
            counts[split] = len(names)
        convert = partial(convert_frame, out=tmp, coloured=splits is not None, size=size, link=link)
        progress = ProgressBar(len(frames))
        for frame_pixels in _map(convert, frames, nproc):
            pixels += frame_pixels
            progress.update()
    return counts, pixels


def _map(convert: Callable[[Frame], np.ndarray], frames: Sequence[Frame], nproc: int) -> Iterator[np.ndarray]:
    if nproc == 1:
        yield from map(convert, frames)
        return
    with ProcessPoolExecutor(nproc) as pool:
        try:
            yield from pool.map(convert, frames, chunksize=4)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def read_splits(folder: Path) -> dict[str, list[str]]:
    """Return the names in ``train.txt``, ``val.txt`` and ``test.txt``.

    Args:
        folder: Folder of the lists. A line is a name, with or without suffix, or a path, as in SegNet's own lists.

    Raises:
        FileNotFoundError: A list is missing.
        ValueError: A name appears twice, or a list is empty.
    """
    splits: dict[str, list[str]] = {}
    seen: dict[str, str] = {}
    for split in SPLITS:
        path = folder / f'{split}.txt'
        if not path.is_file():
            raise FileNotFoundError(f'{path} is missing: --splits takes a folder with train.txt, val.txt and test.txt')
        files = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
        if not files:
            raise ValueError(f'{path} is empty')
        splits[split] = [_name(file) for file in files]
        for name in splits[split]:
            if name in seen:
                raise ValueError(f'{name!r} is in {seen[name]}.txt and in {split}.txt')
            seen[name] = split
    return splits


def _name(file: str) -> str:
    file = os.path.basename(file)
    return file[:-4] if file.endswith(SUFFIXES) else file


def original_frames(src: Path, splits: dict[str, list[str]]) -> list[Frame]:
    """Return the frames of the original release that ``splits`` names.

    Raises:
        FileNotFoundError: A frame has no image or no label; the message has the closest names.
    """
    files = sorted(path for path in src.rglob('*') if path.suffix in SUFFIXES)
    labels = {path.stem[:-2]: path for path in files if path.stem.endswith('_L')}
    images = {path.stem: path for path in files if not path.stem.endswith('_L')}
    if not labels:
        raise FileNotFoundError(f'{src} has no colour-coded labels NAME_L.png; is it the original release?')
    frames = []
    for split, names in splits.items():
        for name in names:
            for kind, known in (('label', labels), ('image', images)):
                if name not in known:
                    raise FileNotFoundError(f'{src} has no {kind} of {name!r}, which {split}.txt names'
                                            f'{did_you_mean(name, known)}')
            frames.append(Frame(name, split, images[name], labels[name]))
    return frames


def segnet_frames(src: Path) -> list[Frame]:
    """Return the frames of the SegNet tutorial's layout, after checking every file."""
    frames = []
    for split in SPLITS:
        dataset = CamVidDataset(data_root=str(src), data_prefix=dict(img_path=split, seg_map_path=f'{split}annot'))
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            image, label = Path(info['img_path']), Path(info['seg_map_path'])
            frames.append(Frame(image.stem, split, image, label))
    return frames


def convert_frame(frame: Frame, out: Path, coloured: bool, size: tuple[int, int] | None, link: bool) -> np.ndarray:
    """Write one frame.

    Args:
        frame: The frame.
        out: Folder of the converted data set.
        coloured: Whether the label is colour-coded.
        size: Width and height to resize to; None for no resizing.
        link: Whether to link files that need no change.

    Returns:
        The number of pixels of each of the ids 0-11.
    """
    label = read_coloured_label(frame.label) if coloured else read_label(str(frame.label))
    label_path = out / f'{frame.split}annot' / f'{frame.name}.png'
    if size is not None:
        image = cv2.resize(_read(frame.image), size, interpolation=cv2.INTER_AREA)
        label = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST_EXACT)
        _write(out / frame.split / f'{frame.name}.png', image)
        _write(label_path, label)
    else:
        if coloured:
            _check_size(frame, label)
        _copy(frame.image, out / frame.split / f'{frame.name}{frame.image.suffix}', link)
        if link and not coloured:
            _copy(frame.label, label_path, link)
        else:
            _write(label_path, label)
    return np.bincount(label.ravel(), minlength=UNLABELLED + 1)


def read_coloured_label(path: Path) -> np.ndarray:
    """Read a colour-coded label.

    Args:
        path: ``NAME_L.png``.

    Returns:
        The ids 0-11, ``[H, W]`` uint8.

    Raises:
        ValueError: The file is damaged, or has a colour of none of the 32 classes.
    """
    image = _read(path).astype(np.int32)
    codes = image[..., 0] << 16 | image[..., 1] << 8 | image[..., 2]
    found, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colours = [(code >> 16, code >> 8 & 255, code & 255) for code in found.tolist()]
    unknown = [f'{colour} on {n} pixels' for colour, n in zip(colours, counts, strict=True) if colour not in IDS]
    if unknown:
        more = f' and {len(unknown) - 5} more' if len(unknown) > 5 else ''
        raise ValueError(f'{path}: none of the 32 classes has the colour (R, G, B) {", ".join(unknown[:5])}{more}')
    return np.array([IDS[colour] for colour in colours], np.uint8)[inverse].reshape(codes.shape)


def _check_size(frame: Frame, label: np.ndarray) -> None:
    height, width = _read(frame.image).shape[:2]
    if (height, width) != label.shape:
        raise ValueError(f'{frame.label}: the label is {label.shape[1]}x{label.shape[0]} pixels, its image '
                         f'{width}x{height}')


def _copy(source: Path, target: Path, link: bool) -> None:
    if link:
        target.symlink_to(source.resolve())
    else:
        shutil.copyfile(source, target)


def _read(path: Path) -> np.ndarray:
    """Read an image, ``[H, W, 3]`` uint8 in RGB, with Pillow: some versions of OpenCV read truncated files."""
    try:
        return np.asarray(Image.open(path).convert('RGB'))
    except Exception as error:
        raise ValueError(f'{path}: not a whole image: {error}') from error


def _write(path: Path, image: np.ndarray) -> None:
    """Write ``[H, W]`` or ``[H, W, 3]`` in RGB."""
    if not cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image):
        raise OSError(f'could not write {path}')
