"""Brings CamVid into the layout that CamVidDataset reads: {train,val,test}/NAME.png and {train,val,test}annot/NAME.png.

Two sources are known:
  original  the release of 701 frames of 960x720, with colour-coded labels NAME_L.png of 32 classes, anywhere below SRC;
            the split comes from --splits. The 32 classes become the 11 in common use, and 11 for void.
  segnet    the SegNet tutorial's own layout, which is checked file by file, and copied or linked.

OUT also gets train.txt, val.txt and test.txt with the names of each split. It appears whole or not at all.
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from mmengine.utils import ProgressBar
from PIL import Image

from skd_mm.datasets import CamVidDataset
from skd_mm.datasets.camvid import CLASSES, UNLABELLED, read_label
from skd_mm.utils import did_you_mean

SPLITS = ('train', 'val', 'test')
SUFFIXES = ('.png', '.jpg')

# The colours (R, G, B) of the 32 original classes, under the class that each becomes.
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
IDS = {colour: i for i, name in enumerate((*CLASSES, 'unlabelled')) for colour in COLOURS[name].values()}


class Frame(NamedTuple):
    """An image, its label, and where they go."""

    name: str
    split: str
    image: Path
    label: Path


def to_ids(path: Path) -> np.ndarray:
    """Reads a colour-coded label.

    Args:
        path: ``NAME_L.png``.

    Returns:
        The ids 0-11, (H, W) uint8.

    Raises:
        ValueError: The file is no whole image, or has a colour that none of the 32 classes has.
    """
    image = _read(path)
    codes = image[..., 0].astype(np.int32) << 16 | image[..., 1].astype(np.int32) << 8 | image[..., 2]
    found, where, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colours = [(code >> 16, code >> 8 & 255, code & 255) for code in found.tolist()]
    unknown = [f'{colour} on {n} pixels' for colour, n in zip(colours, counts, strict=True) if colour not in IDS]
    if unknown:
        raise ValueError(f'{path}: none of the 32 classes has the colour (R, G, B) ' + ', '.join(unknown[:5]) +
                         (f' and {len(unknown) - 5} more' if len(unknown) > 5 else ''))
    return np.array([IDS[colour] for colour in colours], np.uint8)[where].reshape(codes.shape)


def read_splits(folder: Path) -> dict[str, list[str]]:
    """The names in ``train.txt``, ``val.txt`` and ``test.txt``.

    Args:
        folder: Where they are. A line is a name, with or without suffix, or a path, as in SegNet's own lists.

    Raises:
        FileNotFoundError: One of them is missing.
        ValueError: A name is there twice, or a list is empty.
    """
    splits: dict[str, list[str]] = {}
    seen: dict[str, str] = {}
    for split in SPLITS:
        path = folder / f'{split}.txt'
        if not path.is_file():
            raise FileNotFoundError(f'{path} is missing: --splits takes a folder with train.txt, val.txt and test.txt')
        lines = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
        splits[split] = [_stem(os.path.basename(line)) for line in lines]
        if not lines:
            raise ValueError(f'{path} is empty')
        for name in splits[split]:
            if name in seen:
                raise ValueError(f'{name!r} is in {seen[name]}.txt and in {split}.txt')
            seen[name] = split
    return splits


def original_frames(src: Path, splits: dict[str, list[str]]) -> list[Frame]:
    """The frames of the original release that ``splits`` names."""
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
    """The frames of SegNet's layout, every file of which is looked at."""
    frames = []
    for split in SPLITS:
        dataset = CamVidDataset(data_root=str(src), data_prefix=dict(img_path=split, seg_map_path=f'{split}annot'))
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            image, label = Path(info['img_path']), Path(info['seg_map_path'])
            frames.append(Frame(image.stem, split, image, label))
    return frames


def convert(frame: Frame, out: Path, original: bool, size: tuple[int, int] | None, link: bool) -> np.ndarray:
    """Writes one frame.

    Returns:
        How many pixels have each of the ids 0-11.
    """
    label = to_ids(frame.label) if original else read_label(str(frame.label))
    if size is None and original:
        shape = _read(frame.image).shape[:2]
        if shape != label.shape:
            raise ValueError(f'{frame.label}: the label is {label.shape[1]}x{label.shape[0]} pixels, its image '
                             f'{shape[1]}x{shape[0]}')
    image_path = out / frame.split / f'{frame.name}{frame.image.suffix if size is None else ".png"}'
    label_path = out / f'{frame.split}annot' / f'{frame.name}.png'
    if size is not None:
        _write(image_path, cv2.resize(_read(frame.image), size, interpolation=cv2.INTER_AREA))
        label = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST_EXACT)
    elif link:
        image_path.symlink_to(frame.image.resolve())
    else:
        shutil.copyfile(frame.image, image_path)
    if size is None and link and not original:
        label_path.symlink_to(frame.label.resolve())
    else:
        _write(label_path, label)
    return np.bincount(label.ravel(), minlength=UNLABELLED + 1)


def convert_all(src: Path,
                out: Path,
                layout: str,
                splits: Path | None = None,
                size: tuple[int, int] | None = None,
                link: bool = False,
                nproc: int = 1) -> tuple[dict[str, int], np.ndarray]:
    """Converts a data set.

    Args:
        src: The folder to read.
        out: The folder to make.
        layout: ``'original'`` or ``'segnet'``.
        splits: The folder of the lists, for the original release.
        size: Width and height to bring everything to: images by area, labels by the nearest neighbour. As they are by
            default.
        link: Whether what need not be changed is linked instead of copied.
        nproc: Processes.

    Returns:
        How many frames each split has, and how many pixels each of the ids 0-11.

    Raises:
        FileExistsError: ``out`` is there and not empty.
        FileNotFoundError: Something of the source is missing.
        ValueError: Something of the source is broken; the message names the file.
    """
    if not src.is_dir():
        raise FileNotFoundError(f'there is no folder {src}')
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f'{out} is there already; remove it or give another folder')
    if layout == 'original':
        if splits is None:
            raise ValueError('the original release has no split of its own: give --splits')
        frames = original_frames(src, read_splits(splits))
    else:
        frames = segnet_frames(src)
    out.parent.mkdir(parents=True, exist_ok=True)
    tmp = Path(tempfile.mkdtemp(prefix=f'.{out.name}-', dir=out.parent))
    try:
        for split in SPLITS:
            (tmp / split).mkdir()
            (tmp / f'{split}annot').mkdir()
            names = [frame.name for frame in frames if frame.split == split]
            (tmp / f'{split}.txt').write_text('\n'.join([*names, '']))
        work = partial(convert, out=tmp, original=layout == 'original', size=size, link=link)
        pixels = np.zeros(UNLABELLED + 1, np.int64)
        progress = ProgressBar(len(frames))
        for counts in _map(work, frames, nproc):
            pixels += counts
            progress.update()
        tmp.chmod(0o755)
        if out.exists():
            out.rmdir()
        tmp.rename(out)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    return {split: sum(frame.split == split for frame in frames) for split in SPLITS}, pixels


def _map(work: partial, frames: Iterable[Frame], nproc: int) -> Iterator[np.ndarray]:
    if nproc == 1:
        yield from map(work, frames)
        return
    with ProcessPoolExecutor(nproc) as pool:
        try:
            yield from pool.map(work, frames, chunksize=4)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _stem(file: str) -> str:
    return file[:-4] if file.endswith(SUFFIXES) else file


def _read(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 in RGB. Pillow, since some versions of OpenCV give a part of a file that is cut short."""
    try:
        return np.asarray(Image.open(path).convert('RGB'))
    except Exception as error:
        raise ValueError(f'{path}: not a whole image: {error}') from error


def _write(path: Path, image: np.ndarray) -> None:
    """Writes (H, W) or (H, W, 3) in RGB."""
    if not cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image):
        raise OSError(f'could not write {path}')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', type=Path, help='the folder to read')
    parser.add_argument('-o', '--out', type=Path, required=True, help='the folder to make')
    parser.add_argument('--layout', choices=['original', 'segnet'], required=True, help='what SRC is')
    parser.add_argument('--splits', type=Path, metavar='DIR',
                        help="folder of train.txt, val.txt and test.txt, such as SegNet's; for the original release")
    parser.add_argument('--size', type=int, nargs=2, metavar=('W', 'H'), help='resize to this width and height')
    parser.add_argument('--link', action='store_true', help='link files that need no change instead of copying them')
    parser.add_argument('--nproc', type=int, default=1, help='processes (default: 1)')
    args = parser.parse_args()
    if args.layout == 'original' and args.splits is None:
        parser.error('--layout original needs --splits: the release has no split of its own')
    if args.layout == 'segnet' and args.splits is not None:
        parser.error("--splits is for --layout original: SegNet's layout has its split in its folders")
    if (args.size is not None and min(args.size) < 1) or args.nproc < 1:
        parser.error('--size and --nproc must be positive')
    return args


def main() -> None:
    args = parse_args()
    size = None if args.size is None else tuple(args.size)
    try:
        frames, pixels = convert_all(args.src, args.out, args.layout, args.splits, size, args.link, args.nproc)
    except (OSError, ValueError) as error:
        raise SystemExit(f'\nerror: {error}') from error
    print(f"\n{args.out}: {', '.join(f'{count} {split}' for split, count in frames.items())}")
    for name, share in zip((*CLASSES, 'unlabelled'), 100 * pixels / pixels.sum(), strict=True):
        print(f'{name:>12} {share:5.1f} % of the pixels')


if __name__ == '__main__':
    main()
