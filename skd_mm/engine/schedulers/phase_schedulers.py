"""Parameter schedulers of a phase."""

from collections.abc import Mapping, Sequence
from typing import Any


def schedulers_of_phase(cfgs: Mapping[str, Any] | Sequence[Mapping[str, Any]], iterations: int,
                        epochs: int) -> list[dict[str, Any]]:
    """Fills in the lengths that a phase determines.

    Args:
        cfgs: Configs of parameter schedulers, or one of them. They are not changed.
        iterations: Length of the phase in iterations.
        epochs: Length of the phase in epochs.

    Returns:
        The configs, each with an ``end``, and those of OneCycle with ``total_steps``: the end of the phase, unless they
        set another one.
    """
    filled = []
    for cfg in [cfgs] if isinstance(cfgs, Mapping) else cfgs:
        length = epochs if cfg.get('by_epoch', True) else iterations
        cfg = dict(cfg)
        cfg.setdefault('end', length)
        if 'OneCycle' in str(cfg['type']):
            cfg.setdefault('total_steps', length)
        filled.append(cfg)
    return filled
