"""Connectors that change the layout of features: from tokens, or from maps with their channels last, to maps."""

from torch import Tensor, nn

from skd_mm.registry import CONNECTORS
from skd_mm.utils import ImageSize, token_grid


@CONNECTORS.register_module()
class TokensToMap(nn.Module):
    """The tokens of a transformer as a feature map; class and register tokens are dropped.

    It must come first in a list of connectors. The distiller applies it before all other connectors of the spot, so
    those on the other side get a map as their reference.

    Args:
        extra_tokens: The number of tokens that belong to no position; they come first, as in ViT, DeiT and DINO.
            Filled in by the distiller.
        in_channels: Not used; there so that every connector can be given both channel counts.
        out_channels: Not used.

    Raises:
        ValueError: The number is negative or, in :meth:`forward`, not less than the number of tokens.

    Example:
        >>> spot = dict(student='backbone.layer4', teacher='backbone.layers.11',
        ...             connector=[dict(type='Conv1x1'), dict(type='Resize')],
        ...             teacher_connector=dict(type='TokensToMap'))
    """

    changes_layout = True

    def __init__(self, extra_tokens: int = 0, in_channels: int = 0, out_channels: int = 0) -> None:
        super().__init__()
        if isinstance(extra_tokens, bool) or not isinstance(extra_tokens, int) or extra_tokens < 0:
            raise ValueError(f'TokensToMap: `extra_tokens` must be a number of tokens, not {extra_tokens!r}')
        self.extra_tokens = extra_tokens

    def forward(self, feature: Tensor, reference: Tensor, image: ImageSize | None = None) -> Tensor:
        """Arrange tokens as a map.

        Args:
            feature: ``[B, extra_tokens + H · W, C]``.
            reference: The feature on the other side; not used.
            image: Height and width of the image in pixels, whose aspect ratio the map gets; None for a square.

        Returns:
            ``[B, C, H, W]``.
        """
        if feature.dim() != 3 or feature.shape[1] <= self.extra_tokens:
            raise ValueError(f'TokensToMap takes tokens [B, N, C] with N greater than {self.extra_tokens}, not '
                             f'{list(feature.shape)}')
        tokens = feature[:, self.extra_tokens:]
        return tokens.transpose(1, 2).unflatten(2, token_grid(tokens.shape[1], image))


@CONNECTORS.register_module()
class ChannelsFirst(nn.Module):
    """A feature map with its channels moved from the last dimension to the second.

    It must come first in a list of connectors. The distiller applies it before all other connectors of the spot.

    Args:
        in_channels: Not used; there so that every connector can be given both channel counts.
        out_channels: Not used.

    Raises:
        ValueError: From :meth:`forward`, if the feature is not a map.
    """

    changes_layout = True

    def __init__(self, in_channels: int = 0, out_channels: int = 0) -> None:
        super().__init__()

    def forward(self, feature: Tensor, reference: Tensor, image: ImageSize | None = None) -> Tensor:
        """Move the channels.

        Args:
            feature: ``[B, H, W, C]``.
            reference: The feature on the other side; not used.
            image: Not used.

        Returns:
            ``[B, C, H, W]``.
        """
        if feature.dim() != 4:
            raise ValueError(f'ChannelsFirst takes maps [B, H, W, C], not {list(feature.shape)}')
        return feature.movedim(3, 1)
