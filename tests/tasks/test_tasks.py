import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample
from torch import nn

from skd_mm.features import call_model
from skd_mm.tasks import Classification, Detection, Segmentation, default_metric, example_samples, label_of, task_of
from skd_mm.utils import INDEX
from tests.detectors import detector
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
    (['coco/bbox_mAP_50', 'coco/bbox_mAP'], 'coco/bbox_mAP'), ([], None)])
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


# Detection


@pytest.mark.parametrize('name', ['retinanet', 'faster-rcnn'])
def test_detectors_have_losses_for_example_samples_and_run_without_samples(name):
    model = detector(name).eval()
    task = task_of(model)
    assert isinstance(task, Detection) and task.num_classes(model) == 80
    samples = example_samples(model, (3, 64, 96), torch.device('cpu'), 2)
    assert label_of(samples[0]) is None and samples[1].metainfo[INDEX] == 1
    with torch.no_grad():
        losses = model(torch.randn(2, 3, 64, 96), samples, mode='loss')
        assert all(torch.stack(value if isinstance(value, list) else [value]).isfinite().all()
                   for value in losses.values())
        outputs = call_model(model, torch.randn(2, 3, 64, 96))
        predictions = model(torch.randn(2, 3, 64, 96), samples, mode='predict')
    assert outputs
    assert len(predictions) == 2 and predictions[0].pred_instances.bboxes.shape[1:] == (4, )


def test_a_data_sample_without_boxes_passes_the_data_preprocessor():
    model = detector(**{'data_preprocessor.pad_mask': True})
    samples = example_samples(model, (3, 32, 32), torch.device('cpu'), 1)
    Detection().remove_labels(samples[0])
    data = model.data_preprocessor(dict(inputs=[torch.zeros(3, 32, 32, dtype=torch.uint8)], data_samples=samples), True)
    assert len(data['data_samples'][0].gt_instances.bboxes) == 0


def test_the_network_of_a_dense_detector_can_be_replaced():
    model, images = detector().eval(), torch.randn(1, 3, 64, 64)
    other = copy.deepcopy(model)
    for parameter in other.parameters():
        torch.nn.init.zeros_(parameter)
    samples = example_samples(model, (3, 64, 64), torch.device('cpu'), 1)
    with torch.no_grad():
        outputs = model(images, mode='tensor')
        expected = model(images, copy.deepcopy(samples), mode='predict')[0].pred_instances
        Detection().replace_network(other, lambda inputs: outputs)
        found = other(images, samples, mode='predict')[0].pred_instances
    torch.testing.assert_close(found.scores, expected.scores)
    with pytest.raises(ValueError, match=r'FasterRCNN can neither be exported to ONNX.*boxes that NMS selects'):
        Detection().replace_network(detector('faster-rcnn'), None)
