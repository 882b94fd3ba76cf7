"""Semantic segmentation, with mmsegmentation's models."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from mmengine.structures import PixelData
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Task, Window

# The argument of mmdetection's heads.
_SAMPLES = 'batch_data_samples'


class Segmentation(Task):
    """Semantic segmentation: maps of classes, mIoU, and images that may be predicted in windows."""

    name = 'segmentation'
    base = 'BaseSegmentor'
    library = 'mmseg'
    parts = ('backbone', 'neck', 'decode_head', 'auxiliary_head', 'loss_decode')
    metrics = ('mIoU', )
    head = 'decode_head'
    usual_sizes = (512, )

    def label(self, sample: Any) -> Tensor | None:
        """Return the map of classes of a data sample, ``[H, W]``, see :meth:`Task.label`."""
        return sample.gt_sem_seg.data[0] if 'gt_sem_seg' in sample else None

    def _example(self, index: int, size: tuple[int, ...], device: torch.device) -> Any:
        from mmseg.structures import SegDataSample
        label = torch.zeros(1, *size, dtype=torch.long, device=device)
        return SegDataSample(gt_sem_seg=PixelData(data=label))

    def classifier(self, model: nn.Module) -> str:
        """Return the path of ``conv_seg`` in the last decode head, see :meth:`Task.classifier`."""
        head = getattr(model, self.head, None)
        last = f'.{len(head) - 1}' if isinstance(head, nn.ModuleList) else ''
        return f'{self.head}{last}.conv_seg'

    def heads_with_samples(self, model: nn.Module, inputs: Tensor) -> AbstractContextManager[None]:
        """Pass data samples to the heads of MaskFormer and Mask2Former, see :meth:`Task.heads_with_samples`."""
        head: nn.Module | None = getattr(model, self.head, None)
        if head is None or not _needs_samples(head):
            return nullcontext()
        return _given_samples(head, inputs)

    def crop(self, sample: Any, window: Window, size: tuple[int, int]) -> Any:
        """Return the data sample of a part of an image, with its part of the map of classes, see :meth:`Task.crop`."""
        part = super().crop(sample, window, size)
        label = self.label(sample)
        if label is not None:
            top, bottom, left, right = window
            # The map of a validation image has the image's original size.
            whole = F.interpolate(label[None, None].float(), size, mode='nearest')[0].to(label.dtype)
            part.gt_sem_seg = PixelData(data=whole[:, top:bottom, left:right])
        return part

    def windows(self, model: nn.Module, size: tuple[int, int]) -> list[Window]:
        """Return the windows of ``test_cfg.mode='slide'``, or the whole image, see :meth:`Task.windows`.

        They are those of mmsegmentation's ``EncoderDecoder.slide_inference``.
        """
        settings: Any = getattr(model, 'test_cfg', None) or {}
        if settings.get('mode') != 'slide':
            return super().windows(model, size)
        found = []
        steps = [_starts(whole, crop, stride)
                 for whole, crop, stride in zip(size, settings['crop_size'], settings['stride'], strict=True)]
        for top in steps[0]:
            for left in steps[1]:
                bottom, right = top + settings['crop_size'][0], left + settings['crop_size'][1]
                found.append((top, min(bottom, size[0]), left, min(right, size[1])))
        return found

    def labels(self, model: nn.Module, outputs: Any, size: Sequence[int]) -> Tensor:
        """Return maps of classes of the size of the images, ``[B, H, W]``, see :meth:`Task.labels`."""
        head = self._last_head(model)
        scores = F.interpolate(outputs, tuple(size), mode='bilinear', align_corners=head.align_corners)
        if scores.shape[1] == 1:
            return (scores[:, 0].sigmoid() > head.threshold).long()
        return scores.argmax(1)

    def from_labels(self, model: nn.Module, labels: Tensor) -> Tensor:
        """Return maps of scores, ``[B, K, H, W]``, see :meth:`Task.from_labels`."""
        count = self._last_head(model).out_channels
        if count == 1:
            return (labels[:, None].float() - 0.5) * 100  # far on both sides of any threshold of a sigmoid
        return F.one_hot(labels, count).movedim(-1, 1).float()

    def needs_scores(self, metric: Mapping[str, Any]) -> bool:
        """Return False: all metrics of segmentation compare maps of classes."""
        return False

    @staticmethod
    def _last_head(model: Any) -> Any:
        head = model.decode_head
        return head[-1] if isinstance(head, nn.ModuleList) else head


def _needs_samples(head: nn.Module) -> bool:
    """Return whether a head needs data samples in its forward pass."""
    argument = inspect.signature(type(head).forward).parameters.get(_SAMPLES)
    return argument is not None and argument.default is argument.empty


@contextmanager
def _given_samples(head: nn.Module, inputs: Tensor) -> Iterator[None]:
    """Give a head data samples with the sizes of the images; the model itself passes none in ``'tensor'`` mode."""
    from mmseg.structures import SegDataSample
    size = tuple(inputs.shape[2:])
    sizes = dict(img_shape=size, ori_shape=size, pad_shape=size, batch_input_shape=size)
    samples = [SegDataSample(metainfo=sizes) for _ in inputs]
    own = {key: value for key, value in head.__dict__.items() if key == 'forward'}
    head.__dict__['forward'] = partial(head.forward, **{_SAMPLES: samples})
    try:
        yield
    finally:
        head.__dict__.pop('forward')
        head.__dict__.update(own)


def _starts(whole: int, crop: int, stride: int) -> list[int]:
    """Return the first pixels of windows along one side of an image; the last window ends with the image."""
    count = max(whole - crop + stride - 1, 0) // stride + 1
    return [max(min(i * stride, whole - crop), 0) for i in range(count)]
