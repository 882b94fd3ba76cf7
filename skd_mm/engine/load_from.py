"""Weights that a run starts from, given as ``load_from``."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def adapt_weights(checkpoint: dict[str, Any], distiller: nn.Module, logger: Any) -> None:
    """Adapt the weights of a checkpoint to a distiller, which MMEngine then loads.

    MMEngine loads what fits and reports the rest, so that the checkpoint of a plain student, whose names lack the
    prefix ``student.``, would load nothing.

    Args:
        checkpoint: The checkpoint of a distiller or of a plain student. Its weights are renamed in place.
        distiller: The distiller.
        logger: Logs how many weights of the student the checkpoint has, unless it has all.

    Raises:
        ValueError: The checkpoint has no weights of the student.
    """
    weights = checkpoint['state_dict'] if isinstance(checkpoint.get('state_dict'), Mapping) else checkpoint
    named = {re.sub(r'^module\.', '', name): value for name, value in weights.items() if isinstance(value, Tensor)}
    own = {name: value.shape for name, value in distiller.state_dict().items() if name.startswith('student.')}
    if not any(name.startswith('student.') for name in named):
        named = {f'student.{name}': value for name, value in named.items()}
    fitting = [name for name, shape in own.items() if name in named and named[name].shape == shape]
    if not fitting:
        raise ValueError(f'load_from: the checkpoint has none of the {len(own)} weights of model.student, '
                         f'such as {next(iter(own), None)!r}; it has {list(weights)[:5]}')
    if len(fitting) < len(own):
        missing = [name for name in own if name not in fitting]
        logger.warning(f'load_from: the checkpoint has {len(fitting)} of the {len(own)} weights of the student; '
                       f'missing or of another shape: {missing[:5]}')
    # MMEngine takes the weights from here, also if the file has nothing else.
    checkpoint['state_dict'] = named
