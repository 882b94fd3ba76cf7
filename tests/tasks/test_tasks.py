import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample
from torch import nn

from skd_mm.tasks import Classification, Segmentation, default_metric, example_samples, label_of, task_of
from skd_mm.utils import INDEX
from tests.helpers import network


def segmentor(**test_cfg):
    init_default_scope('mmseg')
    return MODELS.build(ConfigDict(network(), test_cfg=test_cfg or dict(mode='whole'))).eval()


def classifier():
    init_default_scope('mmpretrain')
    return MODELS.build(dict(
        type='ImageClassifier', backbone=dict(type='skd_mm.LeNet5', in_channels=3), head=dict(
            type='LinearClsHead', num_classes=3, in_channels=84)))


def test_the_task_is_known_by_the_class_of_the_model():
    assert isinstance(task_of(segmentor()), Segmentation)
    assert isinstance(task_of(nn.Linear(2, 2)), Classification)


def test_the_number_of_classes():
    assert [task_of(model).num_classes(model) for model in (segmentor(), classifier(), nn.Linear(2, 2))] == [3, 3, None]


def test_labels_of_both_tasks():
    seg, = example_samples(segmentor(), (3, 4, 6), torch.device('cpu'), 1)
    assert isinstance(seg, SegDataSample) and label_of(seg).shape == (4, 6)
    other = Classification().example_samples((3, 4, 6), torch.device('cpu'), 2)
    assert [int(label_of(sample)) for sample in other] == [0, 1]
    assert [sample.metainfo[INDEX] for sample in other] == [0, 1] and other[0].metainfo['img_shape'] == (4, 6)
    assert label_of(DataSample()) is None and label_of(SegDataSample()) is None
    assert label_of(DataSample().set_gt_label([0, 2])) is None


@pytest.mark.parametrize(('names', 'expected'), [
    (['aAcc', 'mIoU'], 'mIoU'), (['single-label/f1-score', 'accuracy/top1'], 'accuracy/top1'), (['own', 'two'], 'own'),
    ([], None)])
def test_the_usual_metric(names, expected):
    assert default_metric(names) == expected


@pytest.mark.parametrize(('size', 'crop', 'stride'), [((20, 12), (8, 8), (5, 5)), ((8, 8), (8, 8), (5, 5)),
                                                      ((6, 20), (8, 8), (8, 3)), ((16, 16), (8, 8), (8, 8))])
def test_windows_are_those_of_the_prediction(size, crop, stride):
    model = segmentor(mode='slide', crop_size=crop, stride=stride)
    seen = []
    inputs = torch.stack([torch.arange(size[0])[:, None].expand(size), torch.arange(size[1]).expand(size),
                          torch.zeros(size)]).float()[None]

    def encode(part, metas):
        rows, columns = part[0, 0].int(), part[0, 1].int()
        seen.append(tuple(map(int, (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1))))
        return part

    model.encode_decode = encode
    model.slide_inference(inputs, [dict(ori_shape=size)])
    assert task_of(model).windows(model, size) == seen


def test_a_model_that_predicts_whole_images_has_one_window():
    model = segmentor()
    assert task_of(model).windows(model, (5, 7)) == [(0, 5, 0, 7)]
