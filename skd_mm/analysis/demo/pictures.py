"""Figures of the demo."""

from pathlib import Path

import matplotlib as mpl
import mmcv
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from skd_mm.analysis.curves import plot_curves
from skd_mm.analysis.logs import read_run
from skd_mm.datasets.camvid import CLASSES, PALETTE

from .settings import DATA, TITLES

# Colour of each id of a label file; everything that is no class is black.
PAINT = np.zeros((256, 3), np.uint8)
PAINT[:len(PALETTE)] = PALETTE


def draw_curves(folder: Path) -> Path:
    """Draw validation and loss of the students over their iterations, and return the file.

    Args:
        folder: The work directory.
    """
    runs = [read_run(folder / name, TITLES[name]) for name in TITLES if name != 'teacher']
    file = folder / 'curves.png'
    plot_curves(runs, ['mIoU', 'loss'], file, title='Students on street scenes')
    return file


def draw_predictions(folder: Path, count: int = 4) -> Path:
    """Draw images of the test split with their labels and three predictions, and return the file.

    Args:
        folder: The work directory.
        count: Number of images, evenly spaced in the split. Defaults to 4.
    """
    data = folder / DATA
    files = sorted((data / 'test').iterdir())
    count = min(count, len(files))
    names = [files[i * len(files) // count].name for i in range(count)]
    columns = {'image': data / 'test', 'label': data / 'testannot'}
    for run in ('no_teacher', 'skd', 'few_labels'):
        columns[f'prediction: {TITLES[run]}'] = folder / run / 'test_best' / 'labels'
    height, width = mmcv.imread(files[0]).shape[:2]
    file = folder / 'samples.png'
    with mpl.style.context('default'):
        figure = Figure(figsize=(15, 0.9 + 3 * len(names) * height / width), layout='constrained')
        panels = figure.subplots(len(names), len(columns), squeeze=False)
        for row, name in zip(panels, names, strict=True):
            for panel, (title, source) in zip(row, columns.items(), strict=True):
                panel.imshow(_picture(source / name, title != 'image'), interpolation='nearest')
                panel.set_axis_off()
        for panel, title in zip(panels[0], columns, strict=True):
            panel.set_title(title)
        handles = [Patch(color=PAINT[i] / 255, label=name) for i, name in enumerate((*CLASSES, 'unlabelled'))]
        figure.legend(handles=handles, loc='outside lower center', ncols=6, fontsize='small', frameon=False)
        figure.savefig(file, dpi=100)
    return file


def _picture(file: Path, is_label: bool) -> np.ndarray:
    if is_label:
        return PAINT[mmcv.imread(file, 'grayscale')]
    return mmcv.imread(file, 'color', 'rgb')
