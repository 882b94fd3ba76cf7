import base64
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from skd_mm.analysis.report.classification import Classifications

TRUTH = [0, 1, 2, 2]


def decode(uri):
    content = base64.b64decode(uri.partition(',')[2])
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


class Network:
    """Stands for a network and its images: predictions are given."""

    def __init__(self, name, predicted, truth=TRUTH, classes=('cat', 'dog', 'cow')):
        self.run = SimpleNamespace(method=name)
        self.predicted, self.truth = predicted, truth
        self.indices = [3 * i for i in range(len(predicted))]
        self.meta = dict(classes=classes) if classes else {}

    def predictions(self):
        for i, label, truth in zip(self.indices, self.predicted, self.truth, strict=True):
            scores = torch.full((3, ), 0.1)
            scores[label] = 0.8
            yield i, DataSample().set_pred_score(scores).set_gt_label(truth)

    def image(self, index):
        return np.full((32, 32, 3), index, np.uint8)

    def name(self, index):
        return f'image {index}'


def view(*networks):
    found = Classifications(networks[0])
    for network in networks:
        found.add(network)
    return found


ONE, TWO = Network('one', [0, 1, 2, 1]), Network('two', [0, 0, 1, 1])


def test_accuracy_and_confusion():
    found = view(ONE, TWO)
    assert found.accuracies() == dict(one=75, two=25)
    assert found.confusion('one').tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert found.per_class()['two'].tolist() == [100, 0, 0]
    assert np.isnan(view(Network('x', [0], [0])).per_class()['x']).tolist() == [False, True, True]


def test_most_frequent_errors():
    assert view(ONE, TWO).top_errors(2) == [['cow', 'dog', '1', '2'], ['dog', 'cat', '0', '1']]
    assert len(view(ONE, TWO).top_errors(9)) == 2


def test_images_on_which_networks_differ_come_first():
    gallery = view(ONE, TWO).gallery(['one', 'two'], 3)
    assert [(item['name'], item['differ']) for item in gallery['items']] == [
        ('image 3', 50), ('image 6', 50), ('image 0', 0)]
    assert gallery['items'][1]['truth'] == 'cow'
    assert gallery['items'][1]['layers'] == dict(one=dict(label='cow', right=True, score=80.),
                                                 two=dict(label='dog', right=False, score=80.))
    assert decode(gallery['items'][0]['image']).shape == (96, 96, 3)  # small images are enlarged
    assert view(TWO).gallery(['two'], 4)['items'][0]['differ'] == 100


def test_classes_without_names_are_numbers():
    assert view(Network('x', [0, 1, 2, 1], classes=None)).classes == ['0', '1', '2']


def test_networks_that_cannot_be_compared():
    with pytest.raises(ValueError, match='its images differ'):
        view(ONE, Network('x', [0], [0]))
    with pytest.raises(ValueError, match='labels of its images differ'):
        view(ONE, Network('x', [0, 1, 2, 1], [0, 1, 2, 1]))
