"""Pictures of the samples that a data set feeds to a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch

FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.4
LINE_HEIGHT = 16
"""Height of a line of text in pixels."""

WHITE = (255, 255, 255)


def draw_sample(sample: Mapping[str, Any], metainfo: Mapping[str, Any], title: str, min_width: int = 640) -> np.ndarray:
    """Draw a sample: the title, the image, the label painted over the image, and the names of its classes.

    Args:
        sample: Output of the pipeline: ``inputs`` ``[C, H, W]`` and ``data_samples``.
        metainfo: Meta information of the data set, with ``classes`` and, for segmentation, ``palette``.
        title: First line of the picture.
        min_width: Smaller images are enlarged to at least this many pixels, by an integer factor. Defaults to 640.

    Returns:
        The picture, ``[height, width, 3]`` uint8 in BGR.
    """
    image, data = sample_image(sample), sample['data_samples']
    panels = [image]
    names: list[str] = []
    colours: list[Sequence[int]] = []
    if 'gt_sem_seg' in data:
        label = data.gt_sem_seg.data.squeeze(0).cpu().numpy()
        panel, names, colours = _paint_label(image, label, metainfo)
        panels.append(panel)
    elif 'gt_label' in data:
        names = _class_names(torch.as_tensor(data.gt_label).flatten().tolist(), metainfo.get('classes') or ())
        colours = [WHITE] * len(names)
    zoom = max(1, -(-min_width // (image.shape[1] * len(panels))))
    body = np.hstack([np.kron(panel, np.ones((zoom, zoom, 1), np.uint8)) for panel in panels])
    width = body.shape[1]
    return np.vstack([_draw_texts([title], [WHITE], width), body, _draw_texts(names, colours, width)])


def sample_image(sample: Mapping[str, Any]) -> np.ndarray:
    """Return the image of a sample as the pipeline leaves it.

    Args:
        sample: An item of a data set: ``inputs`` ``[C, H, W]`` and ``data_samples``.

    Returns:
        ``[H, W, 3]`` uint8 in BGR.
    """
    image = sample['inputs'].detach().cpu().numpy().transpose(1, 2, 0)
    if image.dtype != np.uint8:  # normalised in the pipeline
        low, high = float(image.min()), float(image.max())
        image = (255 * (image - low) / max(high - low, 1e-9)).round().astype(np.uint8)
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if sample['data_samples'].metainfo.get('img_path') is None:  # arrays, such as CIFAR's, are RGB
        image = image[..., ::-1]
    return np.ascontiguousarray(image[..., :3])


def _paint_label(image: np.ndarray, label: np.ndarray,
                 metainfo: Mapping[str, Any]) -> tuple[np.ndarray, list[str], list[Sequence[int]]]:
    """Return the image with its classes painted over it, and the name and the colour of each class."""
    classes = metainfo.get('classes') or ()
    overlay = image.astype(float)
    names: list[str] = []
    colours: list[Sequence[int]] = []
    for i in np.unique(label[label < len(classes)]).tolist():
        colour = metainfo['palette'][i][::-1]
        inside = label == i
        overlay[inside] = 0.4 * overlay[inside] + 0.6 * np.array(colour)
        names.append(f'{classes[i]} {100 * inside.mean():.1f} %')
        colours.append(colour)
    ignored = label >= len(classes)
    if ignored.any():  # shown without paint
        names.append(f'ignored {100 * ignored.mean():.1f} %')
        colours.append(WHITE)
    return overlay.round().astype(np.uint8), names, colours


def _class_names(labels: Sequence[int], classes: Sequence[str]) -> list[str]:
    return [str(classes[i]) if i < len(classes) else str(i) for i in labels]


def _draw_texts(texts: Sequence[str], colours: Sequence[Sequence[int]], width: int) -> np.ndarray:
    """Draw texts on as many lines as they need, each in its colour, lightened to be readable on black."""
    positions, x, line = [], 2, 0
    for text in texts:
        needed = cv2.getTextSize(text, FONT, FONT_SCALE, 1)[0][0] + 10
        if x > 2 and x + needed > width:
            x, line = 2, line + 1
        positions.append((x, line * LINE_HEIGHT + 12))
        x += needed
    canvas = np.zeros(((line + 1) * LINE_HEIGHT, width, 3), np.uint8)
    for text, colour, position in zip(texts, colours, positions, strict=True):
        light = np.clip(80 + np.asarray(colour) * 175 / 255, 0, 255)
        cv2.putText(canvas, text, position, FONT, FONT_SCALE, light.tolist(), 1, cv2.LINE_AA)
    return canvas
