"""Base class of the backbones that are not derived from mmpretrain's."""

from collections.abc import Sequence

from mmpretrain.models.backbones.base_backbone import BaseBackbone
from torch import Tensor

INIT_CFG = [dict(type='Kaiming', layer=['Conv2d']), dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm'])]
"""mmpretrain's initialisation of a ResNet: Kaiming normal (fan-out) for convolutions, 1 for BN."""


class StagedBackbone(BaseBackbone):
    """A chain of modules, ``stem``, ``layer1``, ``layer2`` ..., some of which are outputs.

    Args:
        stages: Names of the modules in the order of execution; the derived class adds modules of these names.
        outputs: Names of the modules that ``out_indices`` selects from.
        out_indices: Indices into ``outputs`` of the returned features.
        init_cfg: Weight initialisation. Defaults to ``INIT_CFG``.

    Raises:
        ValueError: An index is out of range.
    """

    def __init__(self,
                 stages: Sequence[str],
                 outputs: Sequence[str],
                 out_indices: Sequence[int],
                 init_cfg: dict | list[dict] | None = None) -> None:
        wrong = [index for index in out_indices if not 0 <= index < len(outputs)]
        if wrong or not out_indices:
            known = ', '.join(f'{index} ({name})' for index, name in enumerate(outputs))
            raise ValueError(f'out_indices={tuple(out_indices)}: {wrong or "nothing"} cannot be an output of '
                             f'{type(self).__name__}; the outputs are {known}')
        super().__init__(init_cfg or INIT_CFG)
        self.stages = tuple(stages)
        self.out_indices = tuple(out_indices)
        self.out_names = tuple(outputs[index] for index in self.out_indices)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run the network.

        Args:
            x: Images, ``[B, 3, H, W]``.

        Returns:
            The features that ``out_indices`` selects, in the order of execution.
        """
        outs = []
        for name in self.stages:
            x = getattr(self, name)(x)
            if name in self.out_names:
                outs.append(x)
        return tuple(outs)

    def train(self, mode: bool = True) -> 'StagedBackbone':
        """Set the mode, and return the network; mmpretrain's backbones return None."""
        super().train(mode)
        return self
