import base64
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from skd_mm.analysis.report import sections
from skd_mm.analysis.report.collect import VIEWS, Report
from skd_mm.analysis.report.detection import MISSED, RIGHT, WRONG, Detections
from skd_mm.analysis.report.page import TEMPLATES
from skd_mm.analysis.report.sources import ReportRun, Sources

# Two objects in each image of 60 x 80 pixels: class, left, top, right, bottom.
TRUTH = [[(0, 10, 10, 30, 30), (1, 40, 20, 70, 50)], [(1, 0, 0, 20, 20), (1, 20, 20, 60, 60)]]
ALL = [[(*box, 0.9) for box in boxes] for boxes in TRUTH]


def decode(uri):
    content = base64.b64decode(uri.partition(',')[2])
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


class Network:
    """Stands for a network and its images: boxes are given."""

    def __init__(self, name, predicted, classes=('car', 'sign')):
        self.run = SimpleNamespace(method=name)
        self.predicted, self.indices = predicted, [4 * i for i in range(len(predicted))]
        self.meta = dict(classes=classes, palette=[(255, 0, 0)])
        self.dataset = self

    def get_data_info(self, index):
        return dict(instances=[dict(bbox=list(box), bbox_label=label, ignore_flag=0)
                               for label, *box in TRUTH[index // 4]]
                    + [dict(bbox=[0, 0, 80, 60], bbox_label=0, ignore_flag=1)])

    def predictions(self):
        for i, boxes in zip(self.indices, self.predicted, strict=True):
            values = torch.tensor(boxes).reshape(-1, 6)
            found = InstanceData(bboxes=values[:, 1:5], labels=values[:, 0].long(), scores=values[:, 5])
            yield i, SimpleNamespace(metainfo=dict(ori_shape=(60, 80)), pred_instances=found)

    def image(self, index):
        return np.full((60, 80, 3), 128, np.uint8)

    def name(self, index):
        return f'image {index}'


def view(*networks):
    found = Detections(networks[0])
    for network in networks:
        found.add(network)
    return found


GOOD = Network('good', ALL)
# The first object twice, one of them with the wrong class, the second one not; a box with a low score does not count.
POOR = Network('poor', [[(0, 11, 10, 31, 30, 0.8), (1, 10, 10, 30, 30, 0.5), (1, 40, 20, 70, 50, 0.2)], ALL[1]])


def test_precision_recall_and_classes():
    found = view(GOOD, POOR)
    assert found.totals()['good'] == dict(precision=100, recall=100, f1=100)
    assert found.totals()['poor'] == dict(precision=75, recall=75, f1=75)
    assert found.per_class()['poor'].tolist() == pytest.approx([100, 200 / 3])
    nothing = view(Network('nothing', [[], []]))
    assert nothing.totals()['nothing'] == dict(precision=0, recall=0, f1=0)


def test_an_object_is_found_once():
    twice = view(Network('twice', [[*ALL[0], (0, 11, 10, 31, 30, 0.8)], ALL[1]]))
    assert twice.totals()['twice'] == pytest.approx(dict(precision=80, recall=100, f1=800 / 9))


def test_images_on_which_networks_differ_come_first():
    assert view(GOOD, POOR).disagreement(['good', 'poor']) == [50, 0]
    assert view(POOR).disagreement(['poor']) == [50, 0]
    gallery = view(Network('swapped', POOR.predicted[::-1])).gallery(['swapped'], 1)
    assert [item['name'] for item in gallery['items']] == ['image 0']
    first, second = view(GOOD, POOR).gallery(['good', 'poor'], 5)['items']
    assert (first['name'], first['differ'], second['differ']) == ('image 0', 50, 0)
    assert {name: layer['score'] for name, layer in first['layers'].items()} == dict(good=100, poor=50)


def is_drawn(picture, colour, box):
    """Whether the left edge of a box, in pixels of the first size, has a colour."""
    _, left, top, _, bottom = box
    pixel = decode(picture)[6 * (top + bottom) // 2, 6 * left]
    return np.abs(pixel.astype(int) - colour).max() < 60  # JPEG


def test_boxes_in_the_colours_of_classes_and_of_errors():
    gallery = view(GOOD, POOR).gallery(['good', 'poor'], 1)
    item, = gallery['items']
    assert decode(item['image']).shape == (360, 480, 3)  # small images are enlarged
    assert gallery['legend'][0] == dict(name='car', colour='#ff0000')
    car, sign = TRUTH[0]
    assert is_drawn(item['truth'], (0, 0, 255), car) and is_drawn(item['layers']['good']['paint'], (0, 0, 255), car)
    errors = item['layers']['poor']['errors']
    assert is_drawn(errors, WRONG, car) and is_drawn(errors, MISSED, sign)
    assert is_drawn(item['layers']['good']['errors'], RIGHT, sign)


def test_networks_that_cannot_be_compared(monkeypatch):
    for other in (Network('x', ALL[:1]), Network('x', ALL, classes=('car', 'man'))):
        with pytest.raises(ValueError, match='its classes or images differ'):
            view(GOOD, other)
    monkeypatch.setattr(GOOD, 'get_data_info', lambda index: {})
    with pytest.raises(ValueError, match='the test images have no boxes'):
        view(GOOD)


def test_the_sections_of_a_page():
    tested = {name: ReportRun(name, None, None) for name in ('good', 'poor')}
    report = Report(Sources(), 'coco/bbox_mAP', 'test', dict(good='#111111', poor='#222222'), 2,
                    view=view(GOOD, POOR), tested=tested)
    table, picture = sections.classes(report).blocks
    assert table.rows == [['good', *['100.0'] * 3], ['poor', *['75.0'] * 3]] and 'not mAP' in picture.caption
    gallery, = sections.gallery(report).blocks
    assert 'missed objects orange' in gallery.caption and gallery.data['kind'] == 'detection'
    script = (TEMPLATES / 'report.js').read_text()
    kinds = script.partition('const KINDS = {')[2].partition('}')[0]
    assert all(kind in kinds for kind in VIEWS)  # a kind that the script does not know shows nothing
