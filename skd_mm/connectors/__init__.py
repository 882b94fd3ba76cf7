"""How unequal features are made comparable."""

from .embedding import Embed
from .factor import Paraphraser, ParaphraserDecoder, Translator
from .generator import MaskedGenerator
from .kept_channels import KeptChannels
from .layout import ChannelsFirst, TokensToMap
from .pooling import GlobalPool, PoolToSmaller
from .projection import Conv1x1, Linear, Projector
from .query_attention import QueryAttention
from .regression import ConvReg
from .resize import Resize
from .variance import VarianceHead

__all__ = [
    'ChannelsFirst', 'Conv1x1', 'ConvReg', 'Embed', 'GlobalPool', 'KeptChannels', 'Linear', 'MaskedGenerator',
    'Paraphraser', 'ParaphraserDecoder', 'PoolToSmaller', 'Projector', 'QueryAttention', 'Resize', 'TokensToMap',
    'Translator', 'VarianceHead'
]
