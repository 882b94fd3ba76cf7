"""Decode heads."""

from .mask_map_head import MaskMapHead
from .unet_head import UNetHead

__all__ = ['MaskMapHead', 'UNetHead']
