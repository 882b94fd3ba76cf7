"""Object detection, with mmdetection's models."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn

from .base import Task


class Detection(Task):
    """Object detection: boxes and their classes, and COCO's or VOC's mAP."""

    name = 'detection'
    base = 'BaseDetector'
    library = 'mmdet'
    parts = ('backbone', 'neck', 'bbox_head', 'rpn_head', 'roi_head', 'mask_head', 'panoptic_head')
    metrics = ('coco/bbox_mAP', 'pascal_voc/mAP', 'coco/segm_mAP')
    head = 'bbox_head'

    def num_classes(self, model: nn.Module) -> int | None:
        """Return how many classes the head of a model predicts, see :meth:`Task.num_classes`."""
        roi_head = getattr(model, 'roi_head', None)
        head = getattr(model if roi_head is None else roi_head, self.head, None)
        if isinstance(head, nn.ModuleList):
            head = head[-1]
        return None if head is None else super().num_classes(head)

    def label(self, sample: Any) -> Tensor | None:
        """Return None: an image has several boxes, and no loss at a spot takes them."""
        return None

    def remove_labels(self, sample: Any) -> None:
        """Replace the boxes of a data sample by none, see :meth:`Task.remove_labels`."""
        super().remove_labels(sample)
        # mmdetection's data preprocessor looks for masks in the instances.
        sample.gt_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))

    def example_samples(self, shape: Sequence[int], device: torch.device, count: int) -> list[Any]:
        """Return data samples with one object each, of the size of the image, see :meth:`Task.example_samples`."""
        return [_with_sizes(sample, shape) for sample in super().example_samples(shape, device, count)]

    def _example(self, index: int, size: tuple[int, ...], device: torch.device) -> Any:
        import numpy as np
        from mmdet.structures import DetDataSample
        from mmdet.structures.mask import BitmapMasks

        box = torch.tensor([[0., 0., size[1], size[0]]], device=device)
        masks = BitmapMasks(np.ones((1, *size), np.uint8), *size)
        return DetDataSample(gt_instances=InstanceData(
            bboxes=box, labels=torch.zeros(1, dtype=torch.long, device=device), masks=masks))

    def forward_samples(self, inputs: Tensor) -> list[Any] | None:
        """Return data samples without boxes: region proposals and queries need the sizes of the images.

        See :meth:`Task.forward_samples`.
        """
        from mmdet.structures import DetDataSample

        size = tuple(inputs.shape[2:])
        sizes = dict(img_shape=size, ori_shape=size, pad_shape=size)
        return [_with_sizes(DetDataSample(metainfo=sizes), inputs.shape[1:]) for _ in inputs]

    def check_single_network(self, model: nn.Module) -> None:
        """Check that a model is a dense detector, see :meth:`Task.check_single_network`.

        Raises:
            ValueError: It chooses boxes between two stages, or has a transformer that needs the sizes of the images.
        """
        if getattr(model, 'roi_head', None) is not None:
            reason = 'the second stage runs on boxes that NMS selects from those of the first one, for each image'
        elif hasattr(model, 'forward_transformer'):
            reason = 'the transformer also takes the sizes of the images in the batch'
        else:
            return
        raise ValueError(
            f'the network of a {type(model).__name__} can neither be exported to ONNX, TorchScript or OpenVINO nor be '
            f'replaced by such a file: {reason}. Detectors of backbone, neck and dense head can be (RetinaNet, FCOS, '
            'ATSS, RTMDet and others). tools/export_student.py writes any student as a config and a checkpoint')

    def replace_network(self, model: nn.Module, network: Callable[[Tensor], Any]) -> None:
        """Let a dense detector's predictions use another implementation, see :meth:`Task.replace_network`.

        Raises:
            ValueError: The model is no dense detector, see :meth:`check_single_network`.
        """
        self.check_single_network(model)
        super().replace_network(model, network)


def _with_sizes(sample: Any, shape: Sequence[int]) -> Any:
    """Add the sizes that mmdetection's data preprocessor and pipelines record."""
    sample.set_metainfo(dict(batch_input_shape=tuple(shape[1:]), scale_factor=(1., 1.)))
    return sample
