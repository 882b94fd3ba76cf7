from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from skd_mm.analysis.report.segmentation import Segmentations
from tests.analysis.report.test_classification import decode

TRUTH = [[[0, 0, 1, 1]] * 4, [[0, 255, 2, 2]] * 4]
META = dict(classes=['a', 'b', 'c'], palette=[[255, 0, 0], [0, 255, 0], [0, 0, 255]])


class Network:
    """Stands for a network and its images: predictions are given."""

    def __init__(self, name, predicted, truth=TRUTH, classes=META['classes']):
        self.run = SimpleNamespace(method=name)
        self.predicted, self.truth = predicted, truth
        self.indices = [0, 5][:len(predicted)]
        self.meta = dict(META, classes=classes)

    def predictions(self):
        for i, predicted, truth in zip(self.indices, self.predicted, self.truth, strict=False):
            yield i, SegDataSample(pred_sem_seg=PixelData(data=torch.tensor([predicted])),
                                   gt_sem_seg=PixelData(data=torch.tensor([truth])))

    def image(self, index):
        return np.full((4, 4, 3), index, np.uint8)

    def name(self, index):
        return f'{index}.png'


def view(*networks):
    found = Segmentations(networks[0])
    for network in networks:
        found.add(network)
    return found


RIGHT = Network('right', [TRUTH[0], [[0, 0, 2, 2]] * 4])
WRONG = Network('wrong', [[[0, 0, 1, 0]] * 4, [[0, 0, 1, 1]] * 4])
OTHER = Network('other', [TRUTH[0], [[1, 0, 2, 2]] * 4])


def test_iou_of_classes_and_images():
    found = view(RIGHT, WRONG)
    assert found.scores['right'].iou.tolist() == [100, 100, 100]
    # a: 8 + 4 right of 8 + 4 + 4 predicted; b: 4 of 8 + 8; c: none of 8
    assert found.scores['wrong'].iou == pytest.approx([75, 25, 0])
    assert found.scores['wrong'].images == pytest.approx([100 * (2 / 3 + 1 / 2) / 2, 100 / 3])
    assert found.means()['wrong']['mIoU'] == pytest.approx(100 / 3)
    assert found.means()['right']['boundary'] == 100
    assert found.means()['wrong']['boundary'] < 100


def test_a_class_that_does_not_occur_is_left_out_of_the_mean():
    found = view(Network('x', [TRUTH[0]]))
    assert np.isnan(found.scores['x'].iou[2]) and found.means()['x']['mIoU'] == 100


def test_images_on_which_students_differ_most_come_first():
    found = view(RIGHT, WRONG, OTHER)
    assert found.disagreement(['right', 'other']) == pytest.approx([0, 100 / 3])
    assert found.disagreement(['right']) == pytest.approx([25, 100])
    assert view(WRONG).disagreement(['wrong']) == pytest.approx([25, 200 / 3])
    gallery = found.gallery(['right', 'other'], 1)
    item, = gallery['items']
    assert (item['name'], item['differ']) == ('5.png', 33.33)
    assert list(item['layers']) == ['right', 'wrong', 'other'] and item['layers']['wrong']['score'] == 33.3
    assert gallery['legend'][1] == dict(name='b', colour='#00ff00')


def test_pictures_of_labels_and_errors():
    item = view(WRONG).gallery(['wrong'], 2)['items'][1]
    assert item['name'] == '0.png'
    truth, paint, errors = (decode(uri) for uri in (item['truth'], item['layers']['wrong']['paint'],
                                                     item['layers']['wrong']['errors']))
    assert truth[0].tolist() == [[0, 0, 255, 255], [0, 0, 255, 255], [0, 255, 0, 255], [0, 255, 0, 255]]
    assert paint[0, 3].tolist() == [0, 0, 255, 255]
    assert [pixel[3] > 0 for pixel in errors[0]] == [False, False, False, True] and errors[0, 3, 2] > 200
    unlabelled = view(WRONG).gallery(['wrong'], 2)['items'][0]
    assert decode(unlabelled['truth'])[0, 1, 3] == 0
    grey = decode(unlabelled['layers']['wrong']['errors'])[0, 1]
    assert grey[0] == grey[1] == grey[2]


def test_networks_that_cannot_be_compared():
    with pytest.raises(ValueError, match='its classes or images differ'):
        view(RIGHT, Network('x', RIGHT.predicted, classes=['a', 'b', 'd']))
    with pytest.raises(ValueError, match='its classes or images differ'):
        view(RIGHT, Network('x', RIGHT.predicted[:1]))
