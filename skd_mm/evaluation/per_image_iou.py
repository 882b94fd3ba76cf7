"""IoU as reported by the authors of SKD."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric

from skd_mm.registry import METRICS


@METRICS.register_module()
class PerImageIoU(BaseMetric):
    """IoU per image and class, averaged over classes and then over images, as in SKD's published code.

    A class that occurs neither in the label nor in the prediction of an image counts as 1, so an image with few classes
    scores high whatever the prediction. A class that is only in the prediction counts as 0.

    **The result is not comparable with mIoU** of mmsegmentation's ``IoUMetric``, which sums the pixels of all images
    before the division. It serves comparisons with the numbers of SKD (arXiv 1911.06786), for runs that follow the
    authors' other choices too: labels resized bilinearly (``ResizeMask``), and unlabelled as a twelfth class
    (``CamVidDataset`` with all twelve names in ``metainfo``) that is not part of the average (``num_classes=11``). A
    perfect predictor then scores 83.41 on CamVid's validation split and 67.22 on its test split.

    Args:
        num_classes: Number of classes to average over, the first ones. Defaults to None, all classes.
        ignore_index: Label of ignored pixels; the authors' code has none. Defaults to 255.
        smooth: Added to numerator and denominator. Defaults to 1e-6, as in the authors' code.
        **kwargs: As for MMEngine's ``BaseMetric``.
    """

    def __init__(self,
                 num_classes: int | None = None,
                 ignore_index: int = 255,
                 smooth: float = 1e-6,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.smooth = smooth

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Collect the IoUs of a batch.

        Args:
            data_batch: Not used.
            data_samples: Output of mmsegmentation's models: ``pred_sem_seg`` and ``gt_sem_seg``, each with ``data``
                ``[1, H, W]``.
        """
        for sample in data_samples:
            predicted = sample['pred_sem_seg']['data'].squeeze(0)
            label = sample['gt_sem_seg']['data'].squeeze(0).to(predicted)
            self.results.append(self.image_iou(predicted, label))

    def image_iou(self, predicted: torch.Tensor, label: torch.Tensor) -> list[float]:
        """Return the IoU of each class on one image.

        Args:
            predicted: ``[H, W]``, class indices.
            label: ``[H, W]``, class indices or ``ignore_index``.

        Returns:
            One number per class of the average.
        """
        classes = len(self.dataset_meta['classes']) if self.num_classes is None else self.num_classes
        valid = label != self.ignore_index
        predicted, label = predicted[valid].long(), label[valid].long()
        intersection = torch.bincount(label[predicted == label], minlength=classes)[:classes]
        predicted_area, label_area = (torch.bincount(ids, minlength=classes)[:classes] for ids in (predicted, label))
        union = predicted_area + label_area - intersection
        return ((intersection + self.smooth) / (union + self.smooth)).tolist()

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average over the images of all processes.

        Args:
            results: Output of :meth:`process`.

        Returns:
            ``per_image_IoU`` in percent.
        """
        return dict(per_image_IoU=round(100 * float(torch.tensor(results, dtype=torch.float64).mean()), 2))
