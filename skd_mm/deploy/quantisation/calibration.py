"""Choosing the ranges of a fake-quantised network from a few images."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as torch_dist
from mmengine.dist import is_distributed
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from skd_mm.features import side_effect_free
from skd_mm.registry import HOOKS
from skd_mm.utils import derive_seed, temporary_seed

from .layers import QuantizedLayer
from .quantizers import Quantizer

_BATCH = 8
# Values of an activation that are kept per batch.
_SAMPLES = 2**14


def quantized_layers(model: nn.Module) -> dict[str, QuantizedLayer]:
    """Return the quantised layers of a network by path."""
    return {path: module for path, module in model.named_modules() if isinstance(module, QuantizedLayer)}


def uncalibrated(model: nn.Module) -> list[str]:
    """Return the paths of the quantizers whose range was not chosen yet."""
    return [path for path, module in model.named_modules() if isinstance(module, Quantizer) and not module.calibrated]


@torch.no_grad()
def calibrate(model: nn.Module, run: Callable[[], Any]) -> None:
    """Choose the ranges of all quantizers of a network.

    Args:
        model: The network. Its weights stay as they are.
        run: Runs it on all calibration images, batch by batch. Meanwhile nothing is quantised.

    Raises:
        ValueError: A quantised layer was not run.
    """
    layers = quantized_layers(model)
    values: dict[str, list[Tensor]] = {path: [] for path in layers}
    handles = [layer.register_forward_pre_hook(
        lambda module, inputs, path=path: values[path].append(_samples(inputs[0]))) for path, layer in layers.items()]
    try:
        with side_effect_free(model), _float(model):
            run()
    finally:
        for handle in handles:
            handle.remove()
    missing = [path for path in layers if not values[path]]
    if missing:
        raise ValueError(f'these quantised layers were not run on the calibration images: {missing}')
    for path, layer in layers.items():
        layer.weight_quantizer.fit(layer.weight.flatten(1))
        layer.input_quantizer.fit(torch.cat(values[path]).view(1, -1))


def _samples(x: Tensor) -> Tensor:
    """Return evenly spaced values of an activation, and its extremes."""
    flat = x.detach().float().flatten()
    return torch.cat([flat[::-(-len(flat) // _SAMPLES)], flat.aminmax().min.view(1), flat.max().view(1)])


@contextmanager
def _float(model: nn.Module) -> Iterator[None]:
    """Turn off all quantizers for a while."""
    quantizers = [module for module in model.modules() if isinstance(module, Quantizer)]
    for quantizer in quantizers:
        quantizer.enabled = False
    try:
        yield
    finally:
        for quantizer in quantizers:
            quantizer.enabled = True


@HOOKS.register_module()
class CalibrationHook(Hook):
    """Hook that calibrates a fake-quantised student before its training.

    It uses the first ``calibration_images`` images of the data fraction of the first phase, in the order of the data
    set, without their labels. Every process reads the same images. A network whose checkpoint has ranges keeps them.
    :class:`PhaseLoop` registers this hook for students with the transform :class:`FakeQuantize`.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Any) -> None:
        """Calibrate the student.

        Raises:
            ValueError: Some of its ranges are known and others are not.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        student = getattr(model, 'student', model)
        missing = uncalibrated(student)
        if not missing:
            return
        known = sum(isinstance(module, Quantizer) for module in student.modules())
        if len(missing) < known:
            raise ValueError(f'{len(missing)} of {known} ranges of the quantised student are in no checkpoint, such as '
                             f'that of {missing[0]}')
        loop = runner.train_loop
        indices = [int(index) for index in loop.data.indices(loop.phase)[:student.calibration_images]]
        device = next(student.parameters()).device

        def run() -> None:
            for start in range(0, len(indices), _BATCH):
                samples = [loop.dataloader.dataset[index, loop.seed] for index in indices[start:start + _BATCH]]
                data = model.data_preprocessor(loop.dataloader.collate_fn(samples), False)
                student(data['inputs'].to(device), mode='tensor')

        with temporary_seed(derive_seed(loop.seed, 'calibration')):
            calibrate(student, run)
        if is_distributed():
            for module in student.modules():
                for tensor in module.state_dict().values() if isinstance(module, Quantizer) else ():
                    torch_dist.broadcast(tensor, 0)
        runner.logger.info(f'calibrated {known} quantizers of the student on {len(indices)} images')
