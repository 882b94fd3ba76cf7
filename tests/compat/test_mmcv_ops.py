"""The operators of mmcv without its compiled extension."""

import importlib.abc
import importlib.machinery
import importlib.util
import math
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from skd_mm import compat
from skd_mm.compat import torch_ops
from skd_mm.compat.placeholders import PlaceholderFinder

LINE = compat.installed_line()


@pytest.fixture
def no_compiled_ops(monkeypatch):
    monkeypatch.delitem(sys.modules, 'mmcv._ext', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [f for f in sys.meta_path if not isinstance(f, PlaceholderFinder)])
    yield
    sys.modules.pop('mmcv._ext', None)


def test_a_compiled_operator_says_why_it_is_not_there(no_compiled_ops):
    from mmcv.utils.ext_loader import load_ext
    if importlib.util.find_spec('mmcv._ext') is not None:
        pytest.skip('this mmcv has its compiled operators')
    compat.patch_mmcv_ops()
    compat.patch_mmcv_ops()
    assert sum(isinstance(finder, PlaceholderFinder) for finder in sys.meta_path) == 1
    ext = importlib.import_module('mmcv._ext')
    assert load_ext('_ext', ['nms', 'roi_align_forward']) is ext
    with pytest.raises(RuntimeError, match=r"'softnms' is not available: (.|\n)*\n  mim install (onedl-)?mmcv=="):
        ext.softnms(None, iou_threshold=0.5)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module('mmcv._ext_of_another_name')


def test_imgaug_is_imported_and_cannot_be_used(no_compiled_ops, monkeypatch):
    for name in [name for name in sys.modules if name.partition('.')[0] == 'imgaug']:
        monkeypatch.delitem(sys.modules, name)
    if importlib.util.find_spec('imgaug') is not None:
        pytest.skip('imgaug is installed')
    compat.patch_imgaug()
    import imgaug.augmenters
    from imgaug.augmentables.lines import LineString
    for use in (imgaug.augmenters.Sometimes, LineString):
        with pytest.raises(ImportError, match='is not installed: pip install imaug'):
            use([])
    for name in [name for name in sys.modules if name.partition('.')[0] == 'imgaug']:
        del sys.modules[name]


def test_compiled_operators_are_preferred_where_they_are(no_compiled_ops):

    class Real(importlib.abc.MetaPathFinder):
        """Stands for whoever finds a compiled mmcv."""

        def find_spec(self, fullname, path, target=None):
            return importlib.machinery.ModuleSpec('mmcv._ext', 'real') if fullname == 'mmcv._ext' else None

    sys.meta_path.append(Real())
    compat.patch_mmcv_ops()
    assert importlib.util.find_spec('mmcv._ext').loader == 'real'


def needs_finder():
    if importlib.util.find_spec('mmcv._ext') is None:
        pytest.skip('mmcv.ops is imported by the original mmsegmentation and by mmdetection, and neither is installed')


def test_operators_that_need_no_compiling_work():
    needs_finder()
    from mmcv.ops import point_sample
    image = torch.arange(4.).view(1, 1, 2, 2)
    assert point_sample(image, torch.full((1, 1, 2), 0.5)).item() == 1.5


def test_mmcv_uses_the_operators_in_pytorch(monkeypatch):
    needs_finder()
    from mmcv.ops import RoIAlign, batched_nms
    boxes = torch.tensor([[0., 0, 10, 10], [1, 1, 11, 11], [0, 0, 10, 10]])
    kept = batched_nms(boxes, torch.tensor([0.5, 0.9, 0.4]), torch.tensor([0, 0, 1]), dict(iou_threshold=0.5))[1]
    assert kept.tolist() == [1, 2]
    features = torch.rand(1, 2, 8, 8, requires_grad=True)
    pooled = RoIAlign(2, 0.5)(features, torch.tensor([[0., 2, 2, 10, 10]]))
    assert pooled.shape == (1, 2, 2, 2)
    pooled.sum().backward()
    assert features.grad.sum().item() == pytest.approx(8)


# The operators, compared with loops over boxes, bins and samples


def greedy_nms(boxes, scores, threshold, offset):
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        for j in kept:
            low, high = np.maximum(boxes[i, :2], boxes[j, :2]), np.minimum(boxes[i, 2:], boxes[j, 2:])
            shared = np.prod(np.maximum(high - low + offset, 0))
            areas = sum(np.prod(boxes[k, 2:] - boxes[k, :2] + offset) for k in (i, j))
            if shared / (areas - shared) > threshold:
                break
        else:
            kept.append(i)
    return kept


@pytest.mark.parametrize(('offset', 'rows'), [(0, 1024), (1, 7)])
def test_nms_keeps_the_boxes_of_the_greedy_algorithm(monkeypatch, offset, rows):
    monkeypatch.setattr(torch_ops, 'NMS_ROWS', rows)
    corners = torch.rand(60, 2) * 20
    boxes = torch.cat([corners, corners + 5 + torch.rand(60, 2) * 10], 1)
    scores = torch.rand(60)
    expected = greedy_nms(boxes.double().numpy(), scores.tolist(), 0.4, offset)
    assert 5 < len(expected) < 50
    assert torch_ops.nms(boxes, scores, iou_threshold=0.4, offset=offset).tolist() == expected


def test_nms_of_no_boxes():
    assert torch_ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []


def bilinear(image, y, x):
    height, width = image.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return image.new_zeros(())
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = image[top, left] * (1 - x + left) + image[top, right] * (x - left)
    lower = image[bottom, left] * (1 - x + left) + image[bottom, right] * (x - left)
    return upper * (1 - y + top) + lower * (y - top)


def roi_align_by_loops(features, rois, bins, scale, ratio, aligned):
    """RoIAlign of maps with one channel."""
    pooled = []
    for image, *corners in rois.tolist():
        x1, y1, x2, y2 = (corner * scale - 0.5 * aligned for corner in corners)
        height, width = (y2 - y1, x2 - x1) if aligned else (max(y2 - y1, 1), max(x2 - x1, 1))
        samples = [ratio or math.ceil(side / count) for side, count in zip((height, width), bins, strict=True)]
        for p in range(bins[0]):
            for q in range(bins[1]):
                values = [bilinear(features[int(image), 0], y1 + (p + (i + 0.5) / samples[0]) * height / bins[0],
                                   x1 + (q + (j + 0.5) / samples[1]) * width / bins[1])
                          for i in range(samples[0]) for j in range(samples[1])]
                pooled.append(sum(values) / len(values))
    return torch.stack(pooled).view(len(rois), 1, *bins)


@pytest.mark.parametrize(('ratio', 'aligned'), [(0, True), (0, False), (2, True)])
def test_roi_align_and_its_gradient(monkeypatch, ratio, aligned):
    monkeypatch.setattr(torch_ops, 'ROIS_PER_STEP', 2)
    features = torch.rand(2, 1, 6, 9, dtype=torch.double, requires_grad=True)
    rois = torch.tensor([[1., 2, 2, 12, 9], [0, -6, -7, 30, 22], [1, 3, 3, 3.5, 4], [1, 0, 0, 17, 11]])
    sizes = dict(aligned_height=2, aligned_width=3, spatial_scale=0.5, sampling_ratio=ratio, aligned=aligned)
    expected = roi_align_by_loops(features, rois, (2, 3), 0.5, ratio, aligned)
    upstream = torch.rand_like(expected)
    gradient, = torch.autograd.grad(expected, features, upstream)
    output, none = torch.zeros_like(expected), torch.zeros(0)
    torch_ops.roi_align_forward(features.detach(), rois, output, none, none, pool_mode=1, **sizes)
    torch.testing.assert_close(output, expected.detach(), rtol=1e-5, atol=1e-6)
    result = torch.zeros_like(features)
    torch_ops.roi_align_backward(upstream, rois, none, none, result, pool_mode=1, **sizes)
    torch.testing.assert_close(result, gradient, rtol=1e-5, atol=1e-6)


def test_roi_align_refuses_maximum_pooling():
    with pytest.raises(RuntimeError, match="pool_mode='max' needs mmcv's compiled operators"):
        torch_ops.roi_align_forward(*[torch.zeros(0)] * 5, pool_mode=0)


@pytest.mark.parametrize('weight', [[], [1., 2, 3]])
def test_focal_loss_and_its_gradient(weight):
    logits = torch.randn(5, 3, dtype=torch.double, requires_grad=True)
    target = torch.tensor([0, 2, 1, 2, 0]) if weight else torch.tensor([0, 3, 1, 2, 3])
    weight = torch.tensor(weight, dtype=torch.double)
    one_hot = F.one_hot(target, 4)[:, :3]
    p = logits.sigmoid()
    expected = -one_hot * 0.3 * (1 - p)**2 * p.log() - (1 - one_hot) * 0.7 * p**2 * (1 - p).log()
    if len(weight):
        expected = expected * weight[target][:, None]
    output, gradient = torch.zeros_like(logits), torch.zeros_like(logits)
    torch_ops.sigmoid_focal_loss_forward(logits.detach(), target, weight, output, gamma=2.0, alpha=0.3)
    torch_ops.sigmoid_focal_loss_backward(logits.detach(), target, weight, gradient, gamma=2.0, alpha=0.3)
    torch.testing.assert_close(output, expected.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), logits)[0])


def test_deformable_attention_and_its_gradient():
    needs_finder()
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch
    shapes = torch.tensor([[4, 4], [2, 2]])
    value = torch.rand(2, 20, 2, 3, requires_grad=True)
    locations = torch.rand(2, 5, 2, 2, 3, 2, requires_grad=True)
    weights = torch.rand(2, 5, 2, 2, 3, requires_grad=True)
    expected = multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)
    upstream = torch.rand_like(expected)
    gradients = torch.autograd.grad(expected, (value, locations, weights), upstream)
    starts = torch.tensor([0, 16])
    output = torch_ops.ms_deform_attn_forward(value, shapes, starts, locations, weights, im2col_step=64)
    torch.testing.assert_close(output, expected)
    results = [torch.zeros_like(tensor) for tensor in (value, locations, weights)]
    torch_ops.ms_deform_attn_backward(value, shapes, starts, locations, weights, upstream, *results, im2col_step=64)
    for result, gradient in zip(results, gradients, strict=True):
        torch.testing.assert_close(result, gradient)
