"""Bounding boxes of the objects in street scenes, in COCO's format."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import cv2
import numpy as np

from .labels import Label

CATEGORIES = {'car': Label.CAR, 'pedestrian': Label.PEDESTRIAN, 'bicyclist': Label.BICYCLIST, 'sign': Label.SIGNSYMBOL}
"""The classes of objects that have boxes, in the order of their ids in COCO's files, which start at 1."""

MIN_SIDE = 4
"""The visible part of an object must be that wide and high, in pixels, to have a box."""


class Box(NamedTuple):
    """The visible part of an object.

    Attributes:
        category: The id of its class, from 1.
        left: Its first column.
        top: Its first row.
        width: Its width in pixels.
        height: Its height in pixels.
        area: The number of its pixels.
    """

    category: int
    left: int
    top: int
    width: int
    height: int
    area: int


def object_boxes(label: np.ndarray, instances: np.ndarray) -> list[Box]:
    """Return the boxes of the objects in a scene.

    Args:
        label: Classes, ``[H, W]``, see :class:`Label`.
        instances: Numbers of the objects, ``[H, W]``.

    Returns:
        One box per object of :data:`CATEGORIES` that is large enough, by the number of the object.
    """
    boxes = []
    for number in np.unique(instances[instances > 0]):
        for category, kind in enumerate(CATEGORIES.values(), start=1):
            mask = ((instances == number) & (label == kind)).astype(np.uint8)
            left, top, width, height = cv2.boundingRect(mask)
            if min(width, height) >= MIN_SIDE:
                boxes.append(Box(category, left, top, width, height, int(mask.sum())))
    return boxes


def coco_annotations(scenes: Iterable[tuple[str, list[Box]]], size: tuple[int, int]) -> dict[str, Any]:
    """Return the annotations of images in COCO's format.

    Args:
        scenes: The file name and the boxes of each image.
        size: Height and width of the images.

    Returns:
        What a JSON file of COCO's detection task contains: ``images``, ``annotations`` and ``categories``.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image, (name, boxes) in enumerate(scenes):
        images.append(dict(id=image, file_name=name, height=size[0], width=size[1]))
        for box in boxes:
            annotations.append(dict(id=len(annotations) + 1, image_id=image, category_id=box.category, area=box.area,
                                    bbox=[box.left, box.top, box.width, box.height], iscrowd=0))
    categories = [dict(id=number, name=name) for number, name in enumerate(CATEGORIES, start=1)]
    return dict(images=images, annotations=annotations, categories=categories)
