"""What a validation measures beyond OpenMMLab's metrics."""

from .per_image_iou import PerImageIoU
from .spot_loss import SpotLossMetric

__all__ = ['PerImageIoU', 'SpotLossMetric']
