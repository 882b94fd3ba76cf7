"""Metrics that OpenMMLab lacks."""

from .boundary import BoundaryMetric
from .per_class import PerClassAccuracy, PerClassIoUMetric
from .per_image_iou import PerImageIoU
from .spot_loss import SpotLossMetric
from .verification import VerificationMetric

__all__ = ['BoundaryMetric', 'PerClassAccuracy', 'PerClassIoUMetric', 'PerImageIoU', 'SpotLossMetric',
           'VerificationMetric']
