"""What a validation measures beyond OpenMMLab's metrics."""

from .per_image_iou import PerImageIoU
from .spot_loss import SpotLossMetric
from .verification import VerificationMetric

__all__ = ['PerImageIoU', 'SpotLossMetric', 'VerificationMetric']
