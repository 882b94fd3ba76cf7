"""Connectors that translate features into the factors of factor transfer (Kim, Park and Kwak, arXiv 1802.04977)."""

import itertools
from collections.abc import Callable

from torch import Tensor, nn

from skd_mm.registry import CONNECTORS


@CONNECTORS.register_module()
class Translator(nn.Module):
    """The student's side of factor transfer: three 3×3 convolutions to the size of the teacher's factor.

    Kim et al., arXiv 1802.04977, the student translator, with the layers of SAKD's table (arXiv 2205.02399), row FT.

    Args:
        in_channels: Channels of the feature it is given; filled in by the distiller.
        out_channels: Channels of the feature on the other side; filled in by the distiller.
        rate: Size of the factor by that of the teacher's feature, ``k``. Defaults to 0.5.
        norm: Whether each convolution has a BN. Defaults to True.
    """

    def __init__(self, in_channels: int, out_channels: int, rate: float = 0.5, norm: bool = True) -> None:
        super().__init__()
        self.encoder = _encoder(in_channels, int(out_channels * rate), norm)

    def forward(self, feature: Tensor, reference: Tensor) -> Tensor:
        """Translate a feature.

        Args:
            feature: ``[B, in_channels, H, W]``.
            reference: The feature on the other side; not used.

        Returns:
            ``[B, int(rate · out_channels), H, W]``.
        """
        return self.encoder(feature)


@CONNECTORS.register_module()
class Paraphraser(nn.Module):
    """The teacher's side of factor transfer: the encoder half of an autoencoder of the teacher's feature.

    Kim et al., arXiv 1802.04977, the teacher paraphraser, with the layers of SAKD's table (arXiv 2205.02399), row FT.
    A separate phase trains it, followed by :class:`ParaphraserDecoder`, to reproduce its input with ``MSELoss``. Then
    it is frozen.

    Args:
        in_channels: Channels of the feature it is given; filled in by the distiller.
        out_channels: Not used; there so that every connector can be given both channel counts.
        rate: Size of the factor by that of the feature, ``k``. Defaults to 0.5.
        norm: Whether each convolution has a BN. Defaults to False.
    """

    def __init__(self, in_channels: int, out_channels: int = 0, rate: float = 0.5, norm: bool = False) -> None:
        super().__init__()
        self.encoder = _encoder(in_channels, int(in_channels * rate), norm)

    def forward(self, feature: Tensor, reference: Tensor) -> Tensor:
        """Paraphrase a feature.

        Args:
            feature: ``[B, in_channels, H, W]``.
            reference: The feature on the other side; not used.

        Returns:
            ``[B, int(rate · in_channels), H, W]``.
        """
        return self.encoder(feature)


@CONNECTORS.register_module()
class ParaphraserDecoder(nn.Module):
    """The decoder half of the paraphraser: from the factor back to the feature.

    Args:
        in_channels: Not used: a spot gives the channels of its module, not those of the factor.
        out_channels: Channels of the feature to be reproduced; filled in by the distiller.
        rate: As for :class:`Paraphraser`. Defaults to 0.5.
        norm: As for :class:`Paraphraser`. Defaults to False.
    """

    def __init__(self, in_channels: int, out_channels: int, rate: float = 0.5, norm: bool = False) -> None:
        super().__init__()
        factor = int(out_channels * rate)
        widths = (factor, factor, out_channels, out_channels)
        self.decoder = _layers(lambda before, after: nn.ConvTranspose2d(before, after, 3, padding=1), widths, norm)

    def forward(self, factor: Tensor, reference: Tensor) -> Tensor:
        """Reproduce a feature.

        Args:
            factor: ``[B, int(rate · out_channels), H, W]``.
            reference: The feature on the other side; not used.

        Returns:
            ``[B, out_channels, H, W]``.
        """
        return self.decoder(factor)


def _encoder(channels: int, factor: int, norm: bool) -> nn.Sequential:
    """Three 3×3 convolutions from a feature to a factor; translator and paraphraser are alike."""
    return _layers(lambda before, after: nn.Conv2d(before, after, 3, padding=1), (channels, channels, factor, factor),
                   norm)


def _layers(conv: Callable[[int, int], nn.Module], widths: tuple[int, ...], norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [conv(before, after), *([nn.BatchNorm2d(after)] if norm else []), nn.LeakyReLU(0.1, inplace=True)]
    return nn.Sequential(*layers)
