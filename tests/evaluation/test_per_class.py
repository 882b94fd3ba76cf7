import pytest
import torch
from mmengine.config import Config
from mmpretrain.evaluation import Accuracy
from mmseg.evaluation import IoUMetric

from skd_mm.evaluation.per_class import PerClassAccuracy, PerClassIoUMetric, with_classes

CLASSES = ('sky', 'road', 'car')


def segmentations():
    truth = torch.tensor([[[0, 0, 1], [1, 1, 255]]])
    predicted = torch.tensor([[[0, 1, 1], [1, 0, 1]]])
    return [dict(pred_sem_seg=dict(data=predicted), gt_sem_seg=dict(data=truth))]


def evaluate(metric, samples):
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def test_the_iou_of_each_class_and_the_metrics_as_before():
    found = evaluate(PerClassIoUMetric(), segmentations())
    # sky: 1 of 3 pixels, road: 2 of 4; no pixel is a car.
    assert found.pop('IoU_per_class') == dict(sky=33.33, road=50.0, car=None)
    assert found == evaluate(IoUMetric(), segmentations()) and found['mIoU'] == pytest.approx(41.67)


def test_predictions_that_are_only_written(tmp_path):
    metric = PerClassIoUMetric(format_only=True, output_dir=str(tmp_path))
    metric.dataset_meta = dict(classes=CLASSES)
    assert 'IoU_per_class' not in metric.compute_metrics([])


@pytest.mark.parametrize('scores', [True, False])
def test_the_accuracy_of_each_class(scores):
    samples = []
    for label, predicted in ((0, 0), (0, 1), (0, 0), (1, 2)):
        sample = dict(gt_label=torch.tensor([label]))
        if scores:
            sample['pred_score'] = torch.eye(3)[predicted]
        else:
            sample['pred_label'] = torch.tensor([predicted])
        samples.append(sample)
    assert evaluate(PerClassAccuracy(), samples) == dict(
        accuracy_per_class=dict(sky=66.67, road=0.0, car=None))
    if scores:
        assert evaluate(Accuracy(), samples)['accuracy/top1'] == 50


def test_metrics_of_a_config_get_the_values_of_classes():
    plain = Config(dict(one=dict(type='IoUMetric', iou_metrics=['mIoU']),
                        several=[dict(type='mmpretrain.Accuracy', topk=(1, 5)), dict(type='Mine')]))
    assert with_classes(plain.one) == [dict(type='skd_mm.PerClassIoUMetric', iou_metrics=['mIoU'])]
    assert [metric['type'] for metric in with_classes(plain.several)] == [
        'mmpretrain.Accuracy', 'skd_mm.PerClassAccuracy', 'Mine']
    assert plain.one.type == 'IoUMetric' and len(plain.several) == 2
