"""How unequal features are made comparable."""

from .embedding import Embed
from .factor import Paraphraser, ParaphraserDecoder, Translator
from .generator import MaskedGenerator
from .layout import ChannelsFirst, TokensToMap
from .pooling import GlobalPool, PoolToSmaller
from .projection import Conv1x1, Linear, Projector, RestoreChannels
from .query_attention import QueryAttention
from .regression import ConvReg
from .resize import Resize
from .variance import VarianceHead

__all__ = [
    'ChannelsFirst', 'Conv1x1', 'ConvReg', 'Embed', 'GlobalPool', 'Linear', 'MaskedGenerator', 'Paraphraser',
    'ParaphraserDecoder', 'PoolToSmaller', 'Projector', 'QueryAttention', 'Resize', 'RestoreChannels', 'TokensToMap',
    'Translator', 'VarianceHead'
]
