"""Show what a config feeds its model: the augmented images of the data fraction with their labels."""

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

# torch and skd_mm are imported where they are needed, so that --help is quick.
if TYPE_CHECKING:
    import numpy as np


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--output-dir', type=Path, help='folder for the pictures; by default work_dirs/<config>/browse')
    parser.add_argument('--not-show', action='store_true', help='open no window (as without a display)')
    parser.add_argument('--show-interval', type=float, default=2, help='seconds to show a picture; 0: until closed')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train', help='data loader to use')
    parser.add_argument('--fraction', type=float,
                        help='fraction of the data set; by default schedule.fraction for training data, else all')
    parser.add_argument('--fraction-seed', type=int, help='seed of the fraction; by default schedule.fraction_seed')
    parser.add_argument('--count', type=int, help='number of pictures, evenly spaced in the fraction; by default all')
    parser.add_argument('--seed', type=int, default=0, help='seed of the random transforms')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='settings that override those of the config')
    args = parser.parse_args()
    if args.count is not None and args.count < 1:
        parser.error('--count must be positive')
    return args


def main() -> None:
    args = parse_args()
    try:
        dataset, indices, names = load_samples(args)
    except (KeyError, OSError, ValueError) as error:
        raise SystemExit(f'error: {error.args[0] if isinstance(error, KeyError) else error}') from error
    if args.count is not None and args.count < len(indices):
        chosen = [i * len(indices) // args.count for i in range(args.count)]
        indices, names = [indices[i] for i in chosen], [names[i] for i in chosen]
    out = args.output_dir or Path('work_dirs') / Path(args.config).stem / 'browse'
    write_pictures(dataset, indices, names, out, args)
    print(f'\n{len(indices)} pictures in {out}')


def load_samples(args: argparse.Namespace) -> tuple[Any, list[int], list[str]]:
    """Return the data set, and the indices and names of the samples of the fraction."""
    from mmengine.registry import init_default_scope

    from skd_mm.config import load_config
    from skd_mm.datasets.building import build_dataset
    from skd_mm.datasets.fraction import fraction_indices, sample_names
    from skd_mm.utils import did_you_mean

    cfg = load_config(args.config, args.cfg_options)
    key = f'{args.split}_dataloader'
    if not cfg.get(key):
        raise KeyError(f'the config has no {key}{did_you_mean(key, cfg)}')
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    dataset = build_dataset(cfg[key]['dataset'], f'{key}.dataset')

    schedule: dict[str, Any] = {}
    if args.split == 'train':
        schedule = cfg.get('schedule') or {}
    fraction = schedule.get('fraction', 1.0) if args.fraction is None else args.fraction
    seed = schedule.get('fraction_seed', 0) if args.fraction_seed is None else args.fraction_seed
    if fraction == 1:
        indices = list(range(len(dataset)))  # works with any wrapper of a data set
    else:
        indices = fraction_indices(dataset, fraction, seed)
    print(f'{len(indices)} of {len(dataset)} samples (fraction {fraction:g}, seed {seed})')
    try:
        names = sample_names(dataset, indices)
    except ValueError:
        names = [str(i) for i in indices]
    return dataset, indices, names


def write_pictures(dataset: Any, indices: list[int], names: list[str], out: Path, args: argparse.Namespace) -> None:
    """Write a picture of every sample, and show it if there is a display."""
    import cv2
    from mmengine.utils import ProgressBar

    from skd_mm.analysis.sample_pictures import draw_sample
    from skd_mm.datasets.seeded import SeededDataset
    from skd_mm.utils import derive_seed

    out.mkdir(parents=True, exist_ok=True)
    window = not args.not_show
    if window and not has_display():
        print('no display: the pictures are only written')
        window = False
    seeded, progress = SeededDataset(dataset), ProgressBar(len(indices))
    for index, name in zip(indices, names, strict=True):
        sample = seeded[index, derive_seed(args.seed, index)]
        title = f'{index}  {name}' if name != str(index) else name
        picture = draw_sample(sample, dataset.metainfo, title)
        stem = re.sub(r'[^A-Za-z0-9._-]+', '_', os.path.splitext(name)[0])
        file = out / f'{index:06d}_{stem}.png'
        if not cv2.imwrite(str(file), picture):
            raise SystemExit(f'error: could not write {file}')
        if window:
            show(picture, title, args.show_interval)
        progress.update()


def has_display() -> bool:
    """Return whether Matplotlib can open a window."""
    import matplotlib as mpl

    if os.name == 'posix' and not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        return False
    return mpl.get_backend().lower() != 'agg'


def show(picture: 'np.ndarray', title: str, seconds: float) -> None:
    """Show a picture in a window for some seconds, or until it is closed if that is 0."""
    from matplotlib import pyplot as plt

    plt.figure(title, clear=True, figsize=(10, 6))
    plt.imshow(picture[..., ::-1])
    plt.axis('off')
    if seconds > 0:
        plt.pause(seconds)
    else:
        plt.show()


if __name__ == '__main__':
    main()
