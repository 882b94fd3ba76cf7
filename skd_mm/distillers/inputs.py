"""One batch for two networks: the teacher's images, made of those that the student's preprocessor returned."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skd_mm.utils import ImageSize, did_you_mean

# Beyond what any format of images holds.
_NO_PIXEL = 1e6
# Smaller patches are the stems of CNNs and hierarchical transformers, which pad what is left.
_MIN_PATCH = 8


class InputSize(NamedTuple):
    """The size of the images that a network takes.

    Attributes:
        fixed: ``(H, W)``, if there is only one.
        multiple: Height and width must be multiples of this number.
    """

    fixed: ImageSize | None = None
    multiple: int = 1

    def __call__(self, image: ImageSize) -> ImageSize:
        """Return the size to which an image is resized: the fixed one, or else the nearest multiples."""
        if self.fixed is not None:
            return self.fixed
        height, width = (max(int(side / self.multiple + 0.5), 1) * self.multiple for side in image)
        return height, width


def input_size(model: nn.Module, cfg: Any = None) -> InputSize:
    """Return the size of the images that a teacher takes.

    Args:
        model: The teacher.
        cfg: ``model.teacher.input_size``: a number for square images, ``(H, W)``, ``dict(multiple_of=14)``, or None.
            None takes multiples of the patch size for a vision transformer (a first convolution whose stride is its
            kernel size, 8 or more), and any size for other networks.

    Returns:
        The size.

    Raises:
        ValueError: The setting is none of these.
    """
    if cfg is None:
        return InputSize(multiple=_patch_size(model))
    if isinstance(cfg, Mapping):
        for key in cfg:
            if key != 'multiple_of':
                raise ValueError(f'model.teacher.input_size has no key {key!r}{did_you_mean(key, ["multiple_of"])}')
        if _is_size(cfg.get('multiple_of')):
            return InputSize(multiple=cfg['multiple_of'])
    elif _is_size(cfg):
        return InputSize(fixed=(cfg, cfg))
    elif isinstance(cfg, Sequence) and len(cfg) == 2 and all(map(_is_size, cfg)):
        return InputSize(fixed=(cfg[0], cfg[1]))
    raise ValueError('model.teacher.input_size must be a number of pixels, a height and a width, or '
                     f'dict(multiple_of=14), not {cfg!r}')


def _patch_size(model: nn.Module) -> int:
    """Return the size of a vision transformer's patches; 1 for other networks."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            size = module.stride[0]
            is_patch = module.kernel_size == module.stride == (size, size)
            return size if is_patch and size >= _MIN_PATCH else 1
    return 1


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


class TeacherInput(nn.Module):
    """Conversion of the student's normalised images to the teacher's normalisation and input size.

    The student's own preprocessor pads and augments the batch once, so that the student's input is the same as without
    a distiller. Both normalisations are affine, and so is the step from one to the other. With the same mean, std and
    channel order, the same tensor is returned. Images of a size that the teacher does not take are resized for it with
    bilinear interpolation; the labels and the student's images stay as they are.

    Args:
        student: The student's data preprocessor.
        teacher: The teacher's; None if the teacher reads no images.
        size: The size of the images that the teacher takes; any by default.

    Raises:
        RuntimeError: Their means and deviations are not of the same number of channels.
        TypeError: The value for padding is no number.
        ValueError: A mean is beyond all pixels, or a deviation is, or is not positive.
    """

    def __init__(self, student: Any, teacher: Any, size: InputSize | None = None) -> None:
        super().__init__()
        self.input_size = size or InputSize()
        teacher = student if teacher is None else teacher
        (mean_s, std_s, rgb_s), (mean_t, std_t, rgb_t) = image_normalisation(student), image_normalisation(teacher)
        mean_s, std_s, mean_t, std_t = torch.broadcast_tensors(mean_s, std_s, mean_t, std_t)
        self.flip = rgb_s != rgb_t
        if self.flip:
            mean_t, std_t = mean_t.flip(0), std_t.flip(0)
        self.scale: Tensor
        self.shift: Tensor
        # They move with the model, and are in no checkpoint: the configs of both networks have them.
        self.register_buffer('scale', (std_s / std_t).view(-1, 1, 1), persistent=False)
        self.register_buffer('shift', ((mean_s - mean_t) / std_t).view(-1, 1, 1), persistent=False)
        self.pad_value = _pad_value(teacher)
        self.same = (torch.equal(mean_s, mean_t) and torch.equal(std_s, std_t)
                     and _pad_value(student) == self.pad_value)

    def forward(self, inputs: Tensor, data_samples: Sequence[Any] | None = None) -> Tensor:
        """Renormalise a batch.

        Args:
            inputs: ``[B, C, H, W]``, normalised for the student.
            data_samples: The samples, whose padding is set to the teacher's value.

        Returns:
            ``[B, C, H', W']``, normalised for the teacher; ``inputs`` itself if nothing differs.
        """
        if not self.same:
            inputs = inputs * self.scale.to(inputs) + self.shift.to(inputs)
            for image, sample in zip(inputs, data_samples or (), strict=False):
                left, right, top, bottom = _padding(sample, image)
                if left or right or top or bottom:
                    height, width = image.shape[-2:]
                    kept = torch.zeros(height, width, dtype=torch.bool, device=image.device)
                    kept[top:height - bottom, left:width - right] = True
                    image.masked_fill_(~kept, self.pad_value)
        return self._resize(inputs.flip(1) if self.flip else inputs)

    def size(self, image: ImageSize) -> ImageSize:
        """Return the size of the teacher's images, given that of the student's."""
        return self.input_size(image)

    def _resize(self, images: Tensor) -> Tensor:
        if images.dim() != 4:
            return images
        before = (images.shape[2], images.shape[3])
        after = self.size(before)
        if after == before:
            return images
        # Without a filter, an image that shrinks loses lines.
        shrinks = after[0] < before[0] or after[1] < before[1]
        return F.interpolate(images, after, mode='bilinear', align_corners=False, antialias=shrinks)


def image_normalisation(preprocessor: Any) -> tuple[Tensor, Tensor, bool]:
    """Return how a data preprocessor normalises images.

    Args:
        preprocessor: A data preprocessor of MMEngine, mmsegmentation or mmpretrain.

    Returns:
        Mean and std as ``[C]`` (or ``[1]``), and whether the channels are swapped before.

    Raises:
        ValueError: A mean is beyond all pixels, or a deviation is, or is not positive.
    """
    # mmpretrain's, MMEngine's, and mmsegmentation's before 1.3
    names = ('to_rgb', '_channel_conversion', 'channel_conversion')
    swapped = any(getattr(preprocessor, name, False) for name in names)
    mean, std = getattr(preprocessor, 'mean', None), getattr(preprocessor, 'std', None)
    if mean is None or std is None or not getattr(preprocessor, '_enable_normalize', True):
        return torch.zeros(1), torch.ones(1), swapped
    mean, std = mean.detach().flatten().cpu(), std.detach().flatten().cpu()
    if not (mean.abs() < _NO_PIXEL).all() or not ((std > 0) & (std < _NO_PIXEL)).all():
        raise ValueError(f'`mean` {mean.tolist()} and `std` {std.tolist()} are not those of pixels')
    return mean, std, swapped


def _pad_value(preprocessor: Any) -> float:
    value = getattr(preprocessor, 'pad_val', getattr(preprocessor, 'pad_value', 0))
    if not isinstance(value, int | float):
        raise TypeError(f'the value for padding must be a number, not {value!r}')
    return float(value)


def _padding(sample: Any, image: Tensor) -> tuple[int, int, int, int]:
    """Return left, right, top and bottom padding, from the sample or from the difference of the sizes."""
    noted = sample.metainfo.get('padding_size', sample.metainfo.get('img_padding_size'))
    if noted is not None:
        return tuple(noted)
    height, width = sample.metainfo.get('img_shape', image.shape[-2:])[:2]
    return 0, max(image.shape[-1] - width, 0), 0, max(image.shape[-2] - height, 0)
