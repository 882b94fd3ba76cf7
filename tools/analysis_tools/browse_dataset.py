"""Shows what a config feeds its model: the images of a data fraction behind the pipeline, with their labels."""

import argparse
import os
import re
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.utils import ProgressBar

import skd_mm  # noqa: F401  (mends the stack before anything else is imported)
from skd_mm.datasets.fraction import fraction_indices, sample_names
from skd_mm.datasets.seeded import SeededDataset
from skd_mm.registry import DATASETS
from skd_mm.utils import derive_seed, did_you_mean

TEXT, LINE = cv2.FONT_HERSHEY_SIMPLEX, 16  # pixels a line of text is high


def build_dataset(cfg: Config, split: str) -> Any:
    """Builds the data set of ``<split>_dataloader``.

    Raises:
        KeyError: The config has no such loader.
    """
    key = f'{split}_dataloader'
    if not cfg.get(key):
        raise KeyError(f'the config has no {key}{did_you_mean(key, cfg)}')
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    return DATASETS.build(cfg[key]['dataset'])


def picture(sample: dict, metainfo: dict, title: str, least_width: int = 640) -> np.ndarray:
    """Draws a sample: the image, beside it the label over the image, and below the names of what is there.

    Args:
        sample: What the pipeline gives: ``inputs`` (C, H, W) and ``data_samples``.
        metainfo: The data set's, with ``classes`` and for segmentation ``palette``.
        title: Stands above it.
        least_width: Smaller images are enlarged to this many pixels by a whole number. Defaults to 640.

    Returns:
        The picture, (height, width, 3) uint8 in BGR.
    """
    image, data = _image(sample), sample['data_samples']
    classes = metainfo.get('classes') or ()
    panels, names, colours = [image], [], []
    if 'gt_sem_seg' in data:
        label = data.gt_sem_seg.data.squeeze(0).cpu().numpy()
        overlay = image.astype(float)
        for i in np.unique(label[label < len(classes)]).tolist():
            colour = metainfo['palette'][i][::-1]
            overlay[label == i] = 0.4 * overlay[label == i] + 0.6 * np.array(colour)
            names.append(f'{classes[i]} {100 * (label == i).mean():.1f} %')
            colours.append(colour)
        if (label >= len(classes)).any():  # shown as it is, so that what the loss ignores can be recognised
            names.append(f'ignored {100 * (label >= len(classes)).mean():.1f} %')
            colours.append([255, 255, 255])
        panels.append(overlay.round().astype(np.uint8))
    elif 'gt_label' in data:
        for i in torch.as_tensor(data.gt_label).flatten().tolist():
            names.append(str(classes[i]) if i < len(classes) else str(i))
            colours.append([255, 255, 255])
    zoom = max(1, -(-least_width // (image.shape[1] * len(panels))))
    body = np.hstack([np.kron(panel, np.ones((zoom, zoom, 1), np.uint8)) for panel in panels])
    return np.vstack([_lines([title], [[255, 255, 255]], body.shape[1]), body, _lines(names, colours, body.shape[1])])


def _image(sample: dict) -> np.ndarray:
    """The image of a sample, (H, W, 3) uint8 in BGR."""
    image = sample['inputs'].detach().cpu().numpy().transpose(1, 2, 0)
    if image.dtype != np.uint8:  # normalised in the pipeline
        low, high = float(image.min()), float(image.max())
        image = (255 * (image - low) / max(high - low, 1e-9)).round().astype(np.uint8)
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if sample['data_samples'].metainfo.get('img_path') is None:  # arrays, such as CIFAR's, are RGB
        image = image[..., ::-1]
    return np.ascontiguousarray(image[..., :3])


def _lines(texts: list[str], colours: list, width: int) -> np.ndarray:
    """Texts one after the other on as many lines as they need, each in its colour, lightened to be read on black."""
    places, x, y = [], 2, 0
    for text in texts:
        needed = cv2.getTextSize(text, TEXT, 0.4, 1)[0][0] + 10
        if x > 2 and x + needed > width:
            x, y = 2, y + 1
        places.append((x, y))
        x += needed
    canvas = np.zeros(((y + 1) * LINE, width, 3), np.uint8)
    for text, colour, (left, row) in zip(texts, colours, places, strict=True):
        light = np.clip(80 + np.asarray(colour) * 175 / 255, 0, 255)
        cv2.putText(canvas, text, (left, row * LINE + 12), TEXT, 0.4, light.tolist(), 1, cv2.LINE_AA)
    return canvas


def show(image: np.ndarray, title: str, seconds: float) -> None:
    """Opens a window; it goes after ``seconds``, or when closed if that is 0."""
    from matplotlib import pyplot as plt
    plt.figure(title, clear=True, figsize=(10, 6))
    plt.imshow(image[..., ::-1])
    plt.axis('off')
    if seconds > 0:
        plt.pause(seconds)
    else:
        plt.show()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--output-dir', type=Path, help='where the pictures go; work_dirs/<config>/browse if not given')
    parser.add_argument('--not-show', action='store_true', help='open no window (as without a display)')
    parser.add_argument('--show-interval', type=float, default=2, help='seconds a window stays; 0: until it is closed')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train', help='whose loader')
    parser.add_argument('--fraction', type=float,
                        help='share of the data set; schedule.fraction of the config for training data, else all')
    parser.add_argument('--fraction-seed', type=int, help="the fraction's seed; schedule.fraction_seed if not given")
    parser.add_argument('--count', type=int, help='how many pictures, spread over the fraction; all if not given')
    parser.add_argument('--seed', type=int, default=0, help='of the random transforms')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='settings that replace those of the config')
    args = parser.parse_args()
    if args.count is not None and args.count < 1:
        parser.error('--count must be positive')
    return args


def main() -> None:
    args = parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    try:
        dataset = build_dataset(cfg, args.split)
        schedule = cfg.get('schedule') or {} if args.split == 'train' else {}
        fraction = schedule.get('fraction', 1.0) if args.fraction is None else args.fraction
        seed = schedule.get('fraction_seed', 0) if args.fraction_seed is None else args.fraction_seed
        # a whole data set needs none taken, so it may be any kind of wrapper
        indices = list(range(len(dataset))) if fraction == 1 else fraction_indices(dataset, fraction, seed)
        try:
            names = sample_names(dataset, indices)
        except ValueError:
            names = [str(i) for i in indices]
    except (KeyError, OSError, ValueError) as error:
        raise SystemExit(f'error: {error.args[0] if isinstance(error, KeyError) else error}') from error
    print(f'{len(indices)} of {len(dataset)} samples (fraction {fraction:g}, seed {seed})')
    pairs = list(zip(indices, names, strict=True))
    if args.count is not None and args.count < len(pairs):
        pairs = [pairs[i * len(pairs) // args.count] for i in range(args.count)]

    out = args.output_dir or Path('work_dirs') / Path(args.config).stem / 'browse'
    out.mkdir(parents=True, exist_ok=True)
    window = not args.not_show
    if window and ((os.name == 'posix' and not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')))
                   or matplotlib.get_backend().lower() == 'agg'):
        print('no display: the pictures are written only')
        window = False
    seeded, progress = SeededDataset(dataset), ProgressBar(len(pairs))
    for index, name in pairs:
        sample = seeded[index, derive_seed(args.seed, index)]
        title = f'{index}  {name}' if name != str(index) else name
        image = picture(sample, dataset.metainfo, title)
        file = out / f'{index:06d}_{re.sub(r"[^A-Za-z0-9._-]+", "_", os.path.splitext(name)[0])}.png'
        if not cv2.imwrite(str(file), image):
            raise SystemExit(f'error: could not write {file}')
        if window:
            show(image, title, args.show_interval)
        progress.update()
    print(f'\n{len(pairs)} pictures in {out}')


if __name__ == '__main__':
    main()
