"""A backbone without a head as a model."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import BaseModel
from mmengine.registry import MODELS as MMENGINE_MODELS
from torch import Tensor, nn

from skd_mm.registry import MODELS


@MODELS.register_module()
class BareBackbone(BaseModel):
    """A backbone alone, such as a foundation model that is a teacher of features.

    A teacher whose config is that of a backbone is wrapped in this class. Its modules are named ``backbone.…``, as in
    a whole model.

    Args:
        backbone: The backbone, or its config.
        data_preprocessor: Config of its data preprocessor, by default a ``mmpretrain.ClsDataPreprocessor``; None if it
            takes images as the student does.

    Example:
        >>> teacher = dict(type='mmpretrain.TIMMBackbone', model_name='vit_small_patch16_dinov3',
        ...                dynamic_img_size=True, checkpoint_path='dinov3_vits16.pth',
        ...                data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor', to_rgb=True,
        ...                                       mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]))
    """

    def __init__(self, backbone: nn.Module | Mapping[str, Any],
                 data_preprocessor: Mapping[str, Any] | None = None) -> None:
        cfg = None
        if data_preprocessor is not None:
            cfg = dict(type='mmpretrain.ClsDataPreprocessor') | dict(data_preprocessor)
        super().__init__(data_preprocessor=cfg)
        self.backbone: Any = backbone
        if not isinstance(backbone, nn.Module):
            self.backbone = MMENGINE_MODELS.build(dict(backbone))
        if data_preprocessor is None:
            self.data_preprocessor = None

    def forward(self, inputs: Tensor, data_samples: Sequence[Any] | None = None, mode: str = 'tensor') -> Any:
        """Run the backbone.

        Args:
            inputs: ``[B, C, H, W]``.
            data_samples: Not used.
            mode: ``'tensor'``.

        Returns:
            What the backbone returns.

        Raises:
            NotImplementedError: Another mode: there is no head.
        """
        if mode != 'tensor':
            raise NotImplementedError(f'a backbone without a head has no mode {mode!r}')
        return self.backbone(inputs)

    @staticmethod
    def adapt_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a backbone's weights under the names that they have in this class.

        Args:
            model: The model.
            weights: A state dict of the backbone, of a model around it, or of the library that it is from. Weights of
                other parts, such as a head, are left out if all of the backbone's are there.

        Returns:
            A state dict of this model; ``weights`` as they are if some are missing.
        """
        own = model.state_dict().keys()
        parts = next(iter(own)).split('.')[:-1] if own else []
        for depth in range(len(parts) + 1):
            prefix = ''.join(f'{part}.' for part in parts[:depth])
            if all(name.startswith(prefix) and name[len(prefix):] in weights for name in own):
                return {name: weights[name[len(prefix):]] for name in own}
        return dict(weights)
