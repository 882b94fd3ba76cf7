"""The losses at spots that validate a feature phase."""

from collections.abc import Hashable, Sequence
from typing import Any

from torch import Tensor

from skd_mm.features import NetworkPair
from skd_mm.tasks import task_of

from .active_phase import ActivePhase
from .terms import spot_inputs


def validation_losses(pair: NetworkPair, active: ActivePhase, inputs: Tensor, data_samples: Sequence[Any] | None,
                      keys: Sequence[tuple[Hashable, ...]] | None) -> dict[str, Tensor]:
    """Compute the losses at the active spots for each image.

    Args:
        pair: Runs both networks.
        active: The active parts of the phase.
        inputs: ``[B, C, H, W]``, or features ``[B, C]``.
        data_samples: One per image.
        keys: Keys of the images in the cache, or None.

    Returns:
        ``[B]`` by the name of the spot, times its weight: the mean over the windows in which the student predicts an
        image.
    """
    parts = [(inputs, data_samples, keys)]
    if inputs.dim() == 4:
        task, size = task_of(pair.student.model), (inputs.shape[2], inputs.shape[3])
        windows = task.windows(pair.student.model, size)
        if len(windows) > 1:
            parts = []
            for window in windows:
                top, bottom, left, right = window
                samples = data_samples and [task.crop(sample, window, size) for sample in data_samples]
                parts.append((inputs[..., top:bottom, left:right], samples,
                              keys and [(*key, *window) for key in keys]))
    losses: dict[str, Tensor] = {}
    for part, samples, names in parts:
        outputs = pair.run(part, samples, 'tensor', names)
        for spot, weight in active.spots:
            loss = weight * spot(*spot_inputs(spot, outputs, samples))
            losses[spot.name] = losses.get(spot.name, 0) + loss.expand(len(inputs)) / len(parts)
    return losses
