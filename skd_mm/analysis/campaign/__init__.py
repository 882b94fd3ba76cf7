"""A campaign of measurements on a GPU: parts that run one after the other, can be resumed, and end in one page."""

from .parts import Part, campaign_parts
from .run import run_campaign

__all__ = ['Part', 'campaign_parts', 'run_campaign']
