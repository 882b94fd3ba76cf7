"""The IoU that the authors of SKD report."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric

from skd_mm.registry import METRICS


@METRICS.register_module()
class PerImageIoU(BaseMetric):
    """IoU per image and class, averaged over classes and then over images, as in SKD's published code.

    A class that an image has neither in its label nor in its prediction counts as 1, so an image with few classes
    scores high whatever is predicted; one that is predicted where it is absent counts as 0.

    **The result is not comparable with mIoU**, which mmsegmentation's ``IoUMetric`` gives: that sums the pixels of all
    images before it divides. It is here to stand beside the numbers of SKD (arXiv 1911.06786), and only for runs that
    follow their other choices too: labels resized bilinearly (``ResizeMask``), unlabelled as a twelfth class
    (``CamVidDataset`` with all twelve names in ``metainfo``) that is not averaged over (``num_classes=11``). A perfect
    predictor then scores 83.41 on CamVid's validation split and 67.22 on its test split.

    Args:
        num_classes: Averages over the first so many classes. Defaults to all.
        ignore_index: Pixels of this label are left out. Theirs has no such label. Defaults to 255.
        smooth: Added to both sides of each division; theirs is the default, 1e-6.
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
        """Takes the predictions of a batch.

        Args:
            data_batch: Not used.
            data_samples: What mmsegmentation's models give: ``pred_sem_seg`` and ``gt_sem_seg``, each with ``data`` of
                (1, H, W).
        """
        for sample in data_samples:
            predicted = sample['pred_sem_seg']['data'].squeeze(0)
            label = sample['gt_sem_seg']['data'].squeeze(0).to(predicted)
            self.results.append(self.image_iou(predicted, label))

    def image_iou(self, predicted: torch.Tensor, label: torch.Tensor) -> list[float]:
        """The IoU of each class on one image.

        Args:
            predicted: (H, W), ids of the classes.
            label: (H, W), ids of the classes or ``ignore_index``.

        Returns:
            One number for each class that is averaged over.
        """
        classes = len(self.dataset_meta['classes']) if self.num_classes is None else self.num_classes
        known = label != self.ignore_index
        predicted, label = predicted[known].long(), label[known].long()
        both = torch.bincount(label[predicted == label], minlength=classes)[:classes]
        of_prediction, of_label = (torch.bincount(x, minlength=classes)[:classes] for x in (predicted, label))
        either = of_prediction + of_label - both
        return ((both + self.smooth) / (either + self.smooth)).tolist()

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Averages over the images of all processes.

        Args:
            results: What :meth:`process` collected.

        Returns:
            ``per_image_IoU`` in percent, as mmsegmentation gives ``mIoU``.
        """
        return dict(per_image_IoU=round(100 * float(torch.tensor(results, dtype=torch.float64).mean()), 2))
