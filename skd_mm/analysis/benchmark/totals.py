"""The times of a whole schedule, from those of its phases."""

from collections.abc import Mapping, Sequence
from typing import Any

from .phase import REFERENCES

VARIANTS = ('naive', 'truncated', 'cached')


def total(phases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up the phases, each at its length, including the filling of the cache.

    Args:
        phases: Their entries.

    Returns:
        ``seconds_*``, ``ratio_*`` and, if all phases have a reference, ``overhead*`` and ``worst_overhead*``, see
        ``docs/performance.md``.
    """
    entry: dict[str, Any] = {}
    for ending, validation in (('', False), ('_with_validation', True)):
        if validation and any('val_iterations' not in phase for phase in phases):
            continue
        spent = {name: _seconds(phases, name, validation) for name in VARIANTS}
        entry.update({f'seconds_{name}{ending}': value for name, value in spent.items()})
        naive = spent.pop('naive')
        entry.update({f'ratio_{name}{ending}': naive / value if naive and value else None
                      for name, value in spent.items()})
    for name, ending in (('truncated', ''), ('cached', '_cached')):
        if all(f'overhead_ms_{name}' in phase for phase in phases):
            shares = [phase[f'overhead_ms_{name}'] / phase[f'ms_{REFERENCES[name]}'] for phase in phases]
            more = sum(phase['iterations'] * phase[f'overhead_ms_{name}'] for phase in phases)
            reference = sum(phase['iterations'] * phase[f'ms_{REFERENCES[name]}'] for phase in phases)
            entry[f'overhead{ending}'] = more / reference
            entry[f'worst_overhead{ending}'] = max(shares)
    return entry


def _seconds(phases: Sequence[Mapping[str, Any]], name: str, validation: bool) -> float | None:
    """Return the time of the schedule with a variant; None if that was not timed."""
    if any(f'ms_{name}' not in phase for phase in phases):
        return None
    spent = 0.
    for phase in phases:
        filling = phase['fill_iterations'] if name == 'cached' else 0
        spent += (phase['iterations'] - filling) * phase[f'ms_{name}']
        if filling:
            spent += phase['ms_fill_first'] + (filling - 1) * phase['ms_fill']
        if validation:
            filling = phase['val_fill_iterations'] if name == 'cached' else 0
            spent += (phase['val_iterations'] - filling) * phase[f'ms_val_{name}']
            spent += filling * phase.get('ms_val_fill', 0.)
    return spent / 1e3
