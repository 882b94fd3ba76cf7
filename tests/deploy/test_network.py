"""The exported part of a model, and another implementation in its place."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, init_default_scope

from skd_mm.deploy import network as deploy_network
from skd_mm.deploy.network import ExportedNetwork, use_file
from skd_mm.deploy.testing import check_metrics
from skd_mm.tasks import task_of
from tests.helpers import SIDE, batch, network


def classifier():
    init_default_scope('mmpretrain')
    return MODELS.build(dict(
        type='ImageClassifier', backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=4, stem_channels=4),
        neck=dict(type='GlobalAveragePooling'), data_preprocessor=dict(num_classes=5, mean=[9.] * 3, std=[3.] * 3),
        head=dict(type='LinearClsHead', num_classes=5, in_channels=32, topk=(1, )))).eval()


def segmentor(**changes):
    init_default_scope('mmseg')
    return MODELS.build(ConfigDict(network(), **changes)).eval()


class File:
    """A file whose network is a model, which counts its calls."""

    def __init__(self, model, **options):
        self.network = ExportedNetwork(model, **options)
        self.metadata = dict(self.network.metadata, outputs='')
        self.file, self.calls = 'net.onnx', 0

    def __call__(self, images):
        self.calls += 1
        with torch.no_grad():
            return self.network(images)


def replaced(monkeypatch, build, options, changes=None):
    """A model, and one with other weights whose network is that of the first."""
    torch.manual_seed(0)
    model, other = build(), build()
    file = File(model, **options)
    monkeypatch.setattr(deploy_network, 'load_file', lambda *args: file)
    use_file(other, 'net.onnx')
    return model, other, file


OPTIONS = [dict(), dict(normalize=True), dict(labels=True), dict(normalize=True, labels=True)]


@pytest.mark.parametrize('options', OPTIONS, ids=str)
@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_a_segmentor_predicts_with_the_network_of_a_file(monkeypatch, options, mode):
    test_cfg = dict(mode=mode, crop_size=(8, 8), stride=(4, 4))
    model, other, file = replaced(monkeypatch, lambda: segmentor(test_cfg=test_cfg), options)
    inputs, samples = batch(2)
    with torch.no_grad():
        expected = model.predict(inputs, [sample.clone() for sample in samples])
        found = other.predict(inputs, [sample.clone() for sample in samples])
    assert file.calls == (1 if mode == 'whole' else 4)
    for one, reference in zip(found, expected, strict=True):
        if 'labels' not in options:
            torch.testing.assert_close(one.seg_logits.data, reference.seg_logits.data, rtol=1e-4, atol=1e-5)
        if 'labels' not in options or mode == 'whole':
            assert torch.equal(one.pred_sem_seg.data, reference.pred_sem_seg.data)


@pytest.mark.parametrize('options', OPTIONS, ids=str)
def test_a_classifier_predicts_with_the_network_of_a_file(monkeypatch, options):
    model, other, file = replaced(monkeypatch, classifier, options)
    inputs = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        expected, found = model.predict(inputs), other.predict(inputs)
    assert file.calls == 1
    assert [sample.pred_label.item() for sample in found] == [sample.pred_label.item() for sample in expected]
    if 'labels' not in options:
        for one, reference in zip(found, expected, strict=True):
            torch.testing.assert_close(one.pred_score, reference.pred_score)


def test_a_detector_predicts_with_the_network_of_a_file(monkeypatch):
    pytest.importorskip('mmdet', reason='mmdetection is not installed')
    from tests.detectors import detector_config

    def build():
        init_default_scope('mmdet')
        return MODELS.build(detector_config()).eval()

    model, other, file = replaced(monkeypatch, build, {})
    for part in (model, other):
        part.test_cfg.score_thr = 0
    inputs = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected, found = [one.predict(inputs, task_of(model).example_samples((3, 64, 64), inputs.device, 2),
                                       rescale=False) for one in (model, other)]
    assert file.calls == 1 and len(expected[0].pred_instances) > 0
    for one, reference in zip(found, expected, strict=True):
        assert torch.equal(one.pred_instances.labels, reference.pred_instances.labels)
        torch.testing.assert_close(one.pred_instances.bboxes, reference.pred_instances.bboxes)
    with pytest.raises(ValueError, match='detection are no maps of classes'):
        ExportedNetwork(model, labels=True)


def test_a_detector_with_two_stages_is_refused():
    from tests.detectors import detector

    with pytest.raises(ValueError, match=r'network of a FasterRCNN can neither .*\(RetinaNet, FCOS'):
        ExportedNetwork(detector('faster-rcnn'))


def test_normalised_images_are_turned_back_into_pixels():
    model = segmentor()
    model.data_preprocessor = MODELS.build(dict(type='SegDataPreProcessor', mean=[1., 2., 3.], std=[4., 5., 6.],
                                                bgr_to_rgb=True))
    pixels = torch.randint(0, 255, (3, SIDE, SIDE))
    inputs = model.data_preprocessor(dict(inputs=[pixels]), False)['inputs']
    wrapped = ExportedNetwork(model, normalize=True)
    torch.testing.assert_close(wrapped.denormalize(inputs)[0], pixels.float())
    with torch.no_grad():
        torch.testing.assert_close(wrapped(pixels[None].float()), model(inputs))


def test_a_sigmoid_head_gives_two_classes():
    model = segmentor()
    model.decode_head.out_channels, model.decode_head.threshold = 1, 0.3
    scores = torch.randn(2, 1, SIDE, SIDE)
    labels = task_of(model).labels(model, scores, (SIDE, SIDE))
    assert torch.equal(labels, (scores[:, 0].sigmoid() > 0.3).long())
    again = task_of(model).labels(model, task_of(model).from_labels(model, labels), (SIDE, SIDE))
    assert torch.equal(again, labels)


def test_a_file_of_other_classes_is_refused(monkeypatch):
    file = File(classifier())
    file.metadata['classes'] = 7
    monkeypatch.setattr(deploy_network, 'load_file', lambda *args: file)
    with pytest.raises(ValueError, match='gives 7 classes, and the ImageClassifier of the config has 5'):
        use_file(classifier(), 'net.onnx')


@pytest.mark.parametrize('metric, needs', [
    (dict(type='Accuracy', topk=(1, )), False),
    (dict(type='mmpretrain.SingleLabelMetric'), False),
    (dict(type='Accuracy', topk=(1, 5)), True),
    (dict(type='Accuracy', topk=5), True),
    (dict(type='Accuracy', thrs=0.5), True),
    (dict(type='AveragePrecision'), True),
])
def test_a_metric_that_needs_scores_is_refused_for_a_file_of_classes(metric, needs):
    model = classifier()
    metrics = [dict(type='Accuracy'), metric]
    if needs:
        with pytest.raises(ValueError, match=rf'net.onnx gives predicted classes.*{metric["type"]}.*needs the scores'):
            check_metrics(model, metrics, 'net.onnx')
    else:
        check_metrics(model, metrics, 'net.onnx')
    check_metrics(segmentor(), dict(type='IoUMetric'), 'net.onnx')


def test_what_has_no_head_or_no_classes_is_refused():
    model = torch.nn.Conv2d(3, 3, 1)
    with pytest.raises(ValueError, match="Conv2d has no 'head'"):
        task_of(model).replace_network(model, lambda images: images)
