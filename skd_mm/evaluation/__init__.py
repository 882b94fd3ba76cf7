"""What a validation measures beyond OpenMMLab's metrics."""

from .spot_loss import SpotLossMetric

__all__ = ['SpotLossMetric']
