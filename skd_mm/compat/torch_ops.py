"""Operators of mmcv in PyTorch, with the signatures of its compiled extension.

They are used only if mmcv was installed without its compiled operators. They give the same results on any device, need
more memory and are slower.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

NMS_ROWS = 1024
"""Boxes that are compared with all others at a time."""

ROIS_PER_STEP = 64
"""Regions that are pooled at a time."""


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Return the boxes that non-maximum suppression keeps.

    A box is suppressed if it overlaps a kept box with a higher score. The rule is applied to all boxes at once and
    repeated until nothing changes: after ``n`` rounds the ``n`` boxes with the highest scores are final, and usually
    all are after a few.

    Args:
        boxes: Corners ``(x1, y1, x2, y2)`` in pixels, ``[N, 4]``.
        scores: Their scores, ``[N]``.
        iou_threshold: IoU above which a box is suppressed.
        offset: Pixels that are added to the sides of a box, 0 or 1.

    Returns:
        Indices of the kept boxes, by decreasing score, ``[M]``.
    """
    order = scores.argsort(descending=True, stable=True)
    boxes = boxes[order].float()
    count = len(boxes)
    overlaps = torch.zeros(count, count, dtype=torch.bool, device=boxes.device)
    areas = (boxes[:, 2:] - boxes[:, :2] + offset).prod(1)
    for start in range(0, count, NMS_ROWS):
        rows = slice(start, start + NMS_ROWS)
        low = torch.maximum(boxes[rows, None, :2], boxes[:, :2])
        high = torch.minimum(boxes[rows, None, 2:], boxes[:, 2:])
        shared = (high - low + offset).clamp(min=0).prod(2)
        overlaps[rows] = shared / (areas[rows, None] + areas - shared) > iou_threshold
    overlaps.triu_(1)  # row i: the boxes that box i suppresses
    kept = torch.ones(count, dtype=torch.bool, device=boxes.device)
    while True:
        updated = ~(overlaps & kept[:, None]).any(0)
        if torch.equal(updated, kept):
            return order[kept]
        kept = updated


def roi_align_forward(input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor, *,
                      pool_mode: int = 1, **grid: Any) -> None:
    """Pool regions of feature maps to a fixed size, as RoIAlign in `Mask R-CNN <https://arxiv.org/abs/1703.06870>`_.

    The mean of bilinear samples over a bin is separable: it is the product of a matrix that pools the rows, the
    feature map, and a matrix that pools the columns.

    Args:
        input: Feature maps, ``[B, C, H, W]``.
        rois: Image index and corners of each region in pixels, ``[K, 5]``.
        output: The result, ``[K, C, P, Q]``, filled in place.
        argmax_y: Unused: only maximum pooling needs it.
        argmax_x: Unused, too.
        pool_mode: 1 for the mean over each bin.
        **grid: ``aligned_height``, ``aligned_width``, ``spatial_scale``, ``sampling_ratio`` and ``aligned``.

    Raises:
        RuntimeError: ``pool_mode`` is 0, the maximum.
    """
    if pool_mode != 1:
        raise RuntimeError("RoIAlign with pool_mode='max' needs mmcv's compiled operators; use pool_mode='avg'")
    for image, chosen in _regions_by_image(rois, len(input)):
        rows, columns = _pooling_matrices(rois[chosen], input, **grid)
        pooled = torch.einsum('kph,chw->kpcw', rows, input[image])
        output[chosen] = torch.einsum('kpcw,kqw->kcpq', pooled, columns)


def roi_align_backward(grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor, grad_input: Tensor, *,
                       pool_mode: int = 1, **grid: Any) -> None:
    """Add the gradient of :func:`roi_align_forward` to ``grad_input``.

    Args:
        grad_output: Gradient of the pooled regions, ``[K, C, P, Q]``.
        rois: The regions, ``[K, 5]``.
        argmax_y: Unused.
        argmax_x: Unused.
        grad_input: Gradient of the feature maps, ``[B, C, H, W]``, changed in place.
        pool_mode: 1: there is no other in the forward pass.
        **grid: As in the forward pass.
    """
    for image, chosen in _regions_by_image(rois, len(grad_input)):
        rows, columns = _pooling_matrices(rois[chosen], grad_input, **grid)
        spread = torch.einsum('kcpq,kqw->kpcw', grad_output[chosen], columns)
        grad_input[image] += torch.einsum('kph,kpcw->chw', rows, spread)


def _regions_by_image(rois: Tensor, images: int) -> Iterator[tuple[int, Tensor]]:
    """Yield the index of an image and the indices of some of its regions."""
    for image in range(images):
        for chosen in (rois[:, 0] == image).nonzero()[:, 0].split(ROIS_PER_STEP):
            if len(chosen):
                yield image, chosen


def _pooling_matrices(rois: Tensor, features: Tensor, *, aligned_height: int, aligned_width: int, spatial_scale: float,
                      sampling_ratio: int, aligned: bool) -> tuple[Tensor, Tensor]:
    """Return the matrices that pool rows, ``[K, P, H]``, and columns, ``[K, Q, W]``."""
    corners = rois[:, 1:].float() * spatial_scale
    if aligned:
        corners = corners - 0.5
    start, size = corners[:, :2], corners[:, 2:] - corners[:, :2]
    if not aligned:
        size = size.clamp(min=1)
    height, width = features.shape[2:]
    rows = _pooling_matrix(start[:, 1], size[:, 1], aligned_height, height, sampling_ratio)
    columns = _pooling_matrix(start[:, 0], size[:, 0], aligned_width, width, sampling_ratio)
    return rows.to(features), columns.to(features)


def _pooling_matrix(start: Tensor, size: Tensor, bins: int, length: int, sampling_ratio: int) -> Tensor:
    """Return the weight of each of ``length`` pixels in each bin, ``[K, bins, length]``."""
    if sampling_ratio > 0:
        samples = torch.full_like(size, sampling_ratio)
    else:
        samples = (size / bins).ceil()
    index = torch.arange(max(int(samples.max()), 1), device=size.device)
    step = (size / bins)[:, None]
    first = start[:, None] + torch.arange(bins, device=size.device) * step
    within = (index + 0.5) * step / samples[:, None].clamp(min=1)
    positions = first[:, :, None] + within[:, None, :]
    valid = (index < samples[:, None])[:, None] & (positions >= -1) & (positions <= length)
    pixels = torch.arange(length, device=size.device)
    weights = 1 - (positions.clamp(0, length - 1)[..., None] - pixels).abs()
    weights = weights.clamp(min=0) * valid[..., None]
    return weights.sum(2) / samples[:, None, None].clamp(min=1)


def sigmoid_focal_loss_forward(input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float,
                               alpha: float) -> None:
    """Compute the `focal loss <https://arxiv.org/abs/1708.02002>`_ of each class.

    Args:
        input: Logits, ``[N, K]``.
        target: Classes; K for the background, ``[N]``.
        weight: A weight for each class, ``[K]``, or an empty tensor.
        output: The result, ``[N, K]``, filled in place.
        gamma: Exponent of the modulating factor.
        alpha: Weight of the positive class.
    """
    output.copy_(_focal_loss(input, target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float,
                                alpha: float) -> None:
    """Compute the derivative of each element of :func:`sigmoid_focal_loss_forward` by its logit.

    Args:
        input: Logits, ``[N, K]``.
        target: Classes, ``[N]``.
        weight: A weight for each class, ``[K]``, or an empty tensor.
        grad_input: The result, ``[N, K]``, filled in place.
        gamma: As in the forward pass.
        alpha: As in the forward pass.
    """
    with torch.enable_grad():
        logits = input.detach().requires_grad_()
        grad_input.copy_(torch.autograd.grad(_focal_loss(logits, target, weight, gamma, alpha).sum(), logits)[0])


def _focal_loss(logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    positive = target[:, None] == torch.arange(logits.shape[1], device=logits.device)
    signed = torch.where(positive, logits, -logits)
    factor = torch.where(positive, alpha, 1 - alpha)
    loss = -factor * torch.sigmoid(-signed) ** gamma * F.logsigmoid(signed)
    if weight.numel():
        loss = loss * weight[target.clamp(max=len(weight) - 1)][:, None]
    return loss


def ms_deform_attn_forward(value: Tensor, spatial_shapes: Tensor, level_start_index: Tensor,
                           sampling_locations: Tensor, attention_weights: Tensor, im2col_step: int) -> Tensor:
    """Return multi-scale deformable attention, ``[B, queries, C]``, by mmcv's own implementation in PyTorch.

    Args:
        value: Values of all levels, ``[B, keys, heads, C / heads]``.
        spatial_shapes: Height and width of each level, ``[levels, 2]``.
        level_start_index: Unused.
        sampling_locations: ``[B, queries, heads, levels, points, 2]``, in [0, 1].
        attention_weights: ``[B, queries, heads, levels, points]``.
        im2col_step: Unused.
    """
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    return multi_scale_deformable_attn_pytorch(value, spatial_shapes, sampling_locations, attention_weights)


def ms_deform_attn_backward(value: Tensor, spatial_shapes: Tensor, level_start_index: Tensor,
                            sampling_locations: Tensor, attention_weights: Tensor, grad_output: Tensor,
                            grad_value: Tensor, grad_locations: Tensor, grad_weights: Tensor,
                            im2col_step: int) -> None:
    """Compute the gradients of :func:`ms_deform_attn_forward`.

    Args:
        value: As in the forward pass.
        spatial_shapes: As in the forward pass.
        level_start_index: Unused.
        sampling_locations: As in the forward pass.
        attention_weights: As in the forward pass.
        grad_output: Gradient of the result, ``[B, queries, C]``.
        grad_value: Gradient of ``value``, filled in place.
        grad_locations: Gradient of ``sampling_locations``, filled in place.
        grad_weights: Gradient of ``attention_weights``, filled in place.
        im2col_step: Unused.
    """
    inputs = [tensor.detach().requires_grad_() for tensor in (value, sampling_locations, attention_weights)]
    value, locations, weights = inputs
    with torch.enable_grad():
        output = ms_deform_attn_forward(value, spatial_shapes, level_start_index, locations, weights, im2col_step)
        gradients = torch.autograd.grad(output, inputs, grad_output)
    for target, gradient in zip((grad_value, grad_locations, grad_weights), gradients, strict=True):
        target.copy_(gradient)


def _version() -> str:
    return 'not available'


OPERATORS: dict[str, Callable[..., Any]] = {
    'get_compiler_version': _version,
    'get_compiling_cuda_version': _version,
    'ms_deform_attn_backward': ms_deform_attn_backward,
    'ms_deform_attn_forward': ms_deform_attn_forward,
    'nms': nms,
    'roi_align_backward': roi_align_backward,
    'roi_align_forward': roi_align_forward,
    'sigmoid_focal_loss_backward': sigmoid_focal_loss_backward,
    'sigmoid_focal_loss_forward': sigmoid_focal_loss_forward,
}
"""The operators by their names in ``mmcv._ext``."""
