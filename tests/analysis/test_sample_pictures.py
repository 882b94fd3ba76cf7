import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, PixelData

from skd_mm.analysis.sample_pictures import LINE_HEIGHT, draw_sample
from skd_mm.datasets.camvid import CLASSES, PALETTE


def test_image_and_label_side_by_side():
    dataset = type('Data', (), {})  # only its metainfo is read
    dataset.metainfo = dict(classes=CLASSES, palette=PALETTE)
    image = np.full((4, 8, 3), (10, 20, 30), np.uint8)
    label = np.full((4, 8), 8)
    label[:, 4:] = 255
    drawn = draw_sample(sample(image, label), dataset.metainfo, 'a title', min_width=16)
    body = drawn[LINE_HEIGHT:LINE_HEIGHT + 4]
    np.testing.assert_array_equal(body[:, :8], image)
    car = np.round(0.4 * np.array([10, 20, 30]) + 0.6 * np.array(PALETTE[8][::-1]))
    np.testing.assert_array_equal(body[:, 8:12], np.broadcast_to(car, (4, 4, 3)))
    np.testing.assert_array_equal(body[:, 12:], image[:, 4:])  # ignored pixels stay as they are


def sample(image, label=None, **metainfo):
    data = BaseDataElement(metainfo=dict(img_path='a.png') | metainfo)
    if label is not None:
        data.gt_sem_seg = PixelData(data=torch.as_tensor(label)[None])
    return dict(inputs=torch.as_tensor(np.ascontiguousarray(image.transpose(2, 0, 1))), data_samples=data)


@pytest.mark.parametrize('image, metainfo, expected', [
    (np.full((2, 2, 3), (1, 2, 3), np.uint8), {}, (1, 2, 3)),
    (np.full((2, 2, 3), (1, 2, 3), np.uint8), dict(img_path=None), (3, 2, 1)),  # arrays are RGB
    (np.full((2, 2, 1), 7, np.uint8), {}, (7, 7, 7)),
])
def test_colours(image, metainfo, expected):
    drawn = draw_sample(sample(image, **metainfo), {}, '', min_width=2)
    np.testing.assert_array_equal(drawn[LINE_HEIGHT, 0], expected)


def test_normalised_images_are_stretched():
    image = np.linspace(-2, 2, 12, dtype=np.float32).reshape(2, 2, 3)
    body = draw_sample(sample(image), {}, '', min_width=2)[LINE_HEIGHT:LINE_HEIGHT + 2]
    assert body.min() == 0 and body.max() == 255
