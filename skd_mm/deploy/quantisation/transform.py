"""The transform that makes a network a fake-quantised one."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from skd_mm.distillers.probing import input_channels
from skd_mm.distillers.transformed import add_weight_adapter
from skd_mm.features import FeatureExtractor, side_effect_free
from skd_mm.features.paths import is_within
from skd_mm.registry import NETWORK_TRANSFORMS
from skd_mm.utils import did_you_mean

from .folding import fold_norms, fold_weights, foldable_norms
from .layers import FixedBatchNorm, QuantizedLayer, quantized
from .quantizers import Quantizer


@NETWORK_TRANSFORMS.register_module()
class FakeQuantize:
    """Fake quantisation of convolutions and linear layers: weights per output channel, inputs per tensor.

    BN is folded into the convolution before it, as integer runtimes do: what is trained and measured is then what they
    compute. BN layers that do not directly follow a convolution stay in float and use their running statistics in
    training, too. Everything else (additions, pooling, resizing, softmax) is computed in float, between the quantised
    layers. Layers that the forward pass does not call, such as auxiliary heads, stay as they are.

    Weights and step sizes are trained with the straight-through estimator and LSQ's gradient, see :class:`Quantizer`.
    The ranges start from the weights and from ``calibration_images`` training images, without labels and in the network
    without quantisation, see :class:`CalibrationHook`. A checkpoint of the network without quantisation can be loaded:
    its BN is folded then.

    Args:
        bits: Bits of the weights, 2 to 8. Defaults to 8.
        activation_bits: Bits of the activations, 2 to 8. Defaults to 8.
        first_last_bits: Bits of the weights of the first and the last layer, which suffer most from few bits (LSQ
            section 3, BRECQ section 4). Defaults to 8.
        skip: Paths of modules that stay in float, with all layers inside them. Defaults to none.
        calibration_images: Images from which the ranges of the activations are chosen. Defaults to 64.
        input_shape: ``(C, H, W)`` of the zeros on which the network is run once, to find its layers. Defaults to 64×64
            with the channels of the first convolution.

    Raises:
        ValueError: A number of bits is out of range, the network cannot be run, or it has nothing to quantise.

    Example:
        >>> student = dict(cfg='configs/students/resnet20_cifar100.py', checkpoint='resnet20.pth',
        ...                transform=dict(type='FakeQuantize', bits=4))
    """

    def __init__(self,
                 bits: int = 8,
                 activation_bits: int = 8,
                 first_last_bits: int = 8,
                 skip: Sequence[str] = (),
                 calibration_images: int = 64,
                 input_shape: Sequence[int] | None = None) -> None:
        for key, value in dict(bits=bits, activation_bits=activation_bits, first_last_bits=first_last_bits).items():
            if not isinstance(value, int) or isinstance(value, bool) or not 2 <= value <= 8:
                raise ValueError(f'FakeQuantize: {key} must be a whole number from 2 to 8, not {value!r}')
        if not isinstance(calibration_images, int) or calibration_images < 1:
            raise ValueError(f'FakeQuantize: calibration_images must be 1 or more, not {calibration_images!r}')
        self.bits, self.activation_bits, self.first_last_bits = bits, activation_bits, first_last_bits
        self.skip = tuple([skip] if isinstance(skip, str) else skip)
        self.calibration_images = calibration_images
        self.input_shape = input_shape

    def __call__(self, model: nn.Module) -> nn.Module:
        """Quantise a network in place.

        Args:
            model: The network, with any weights.

        Returns:
            The same network. Its attribute ``calibration_images`` is set.
        """
        if any(isinstance(module, QuantizedLayer) for module in model.modules()):
            raise ValueError('FakeQuantize: the network is quantised already')
        names = dict(model.named_modules())
        for path in self.skip:
            if path not in names:
                raise ValueError(f'FakeQuantize: skip: the network has no module {path!r}'
                                 f'{did_you_mean(path, list(names))}')
        called, pairs = self._inspect(model)
        layers = self._layers(model, called)
        model.folded_norms = fold_norms(  # type: ignore[assignment]
            model, {conv: norm for conv, norm in pairs.items() if conv in layers})
        # Folding may have added a bias, which the quantised layers take over.
        for path, layer in self._layers(model, called).items():
            _replace(model, path, layer)
        for path in called:
            module = model.get_submodule(path)
            if isinstance(module, _BatchNorm) and module.running_mean is not None:
                _replace(model, path, FixedBatchNorm(module))
        model.calibration_images = self.calibration_images  # type: ignore[assignment]
        add_weight_adapter(model, adapt_weights)
        model.register_load_state_dict_pre_hook(_adapt_before_loading)
        return model

    def _inspect(self, model: nn.Module) -> tuple[list[str], dict[str, str]]:
        """Return the paths of all modules that the forward pass calls, and the BN layers that can be folded."""
        shape = self.input_shape or (input_channels(model), 64, 64)
        called: list[str] = []

        def run() -> Any:
            return model(torch.zeros(1, *shape), mode='tensor')

        try:
            with side_effect_free(model):
                pairs = foldable_norms(model, lambda: FeatureExtractor(model).watch(
                    run, lambda path, output: called.append(path)))
        except (AssertionError, IndexError, RuntimeError, TypeError) as error:
            raise ValueError(f'FakeQuantize: {type(model).__name__} could not be run on zeros of shape {list(shape)}; '
                             f'if the size is at fault, set input_shape to one that it takes: '
                             f'{type(error).__name__}: {error}') from error
        return list(dict.fromkeys(called)), pairs

    def _layers(self, model: nn.Module, called: Sequence[str]) -> dict[str, QuantizedLayer]:
        """Return the quantised layers by path, in the order of the forward pass."""
        candidates = [path for path in called if not is_within(path, self.skip)
                      and isinstance(model.get_submodule(path), nn.modules.conv._ConvNd | nn.Linear)]
        layers: dict[str, QuantizedLayer] = {}
        left = []
        for path in candidates:
            bits = self.first_last_bits if path in (candidates[0], candidates[-1]) else self.bits
            layer = quantized(model.get_submodule(path), bits, self.activation_bits)
            if layer is None:
                left.append(f'{path} ({type(model.get_submodule(path)).__name__})')
            else:
                layers[path] = layer
        if not layers:
            raise ValueError(f'FakeQuantize: {type(model).__name__} has no convolution or linear layer to quantise')
        if left:
            print_log(f'FakeQuantize: these layers stay in float: {", ".join(left)}', logger='current')
        return layers


def adapt_weights(model: nn.Module, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights of a network with or without quantisation as those of its quantised version.

    Args:
        model: The quantised network.
        weights: A state dict.

    Returns:
        The state dict with BN folded. If it has no ranges, they are those of a network that is not calibrated.
    """
    adapted = fold_weights(weights, model.folded_norms)  # type: ignore[arg-type]
    entries = {f'{path}.{name}': value for path, module in model.named_modules() if isinstance(module, Quantizer)
               for name, value in module.state_dict().items()}
    if not entries.keys() & adapted.keys():
        for key, value in entries.items():
            adapted[key] = torch.zeros_like(value) if key.endswith('.calibrated') else value
    return adapted


def _adapt_before_loading(model: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    inside = {key[len(prefix):]: value for key, value in state_dict.items() if key.startswith(prefix)}
    for key in inside:
        del state_dict[prefix + key]
    state_dict.update({prefix + key: value for key, value in adapt_weights(model, inside).items()})


def _replace(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition('.')
    setattr(model.get_submodule(parent), name, module)
