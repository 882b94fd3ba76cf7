"""Completing the configs of spots."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skd_mm.registry import LOSSES
from skd_mm.utils import did_you_mean

from .spot import module_names

KEYS = ('name', 'student', 'teacher', 'connector', 'teacher_connector', 'loss', 'memory', 'teacher_decoder',
        'discriminator', 'input_connector', 'weight', 'backbone_stage', 'head_feature')
_PLACES = ('backbone_stage', 'head_feature')


def spot_configs(cfg: str | Mapping[str, Any],
                 pairs: Callable[[], Sequence[tuple[str, str]]] = tuple,
                 heads: Callable[[], tuple[str, str]] | None = None) -> list[dict[str, Any]]:
    """Complete the config of a spot.

    Args:
        cfg: A module name, which is then the same on both sides, or a dict with the arguments of :class:`Spot`.
            Instead of module names it may have ``backbone_stage``: the number of a stage of both backbones, from 1 (or
            from -1 backwards), a list of them for a loss that needs several, ``'all'`` for one spot per stage, or
            ``'consecutive'`` for one spot per pair of consecutive stages; or ``head_feature=True`` for the last feature
            of both heads, before the classifier and its dropout. ``loss`` may be a list of configs, each with
            an optional ``weight`` and ``name``: that makes one spot per loss at the same modules, named
            ``<spot>.<name>``, where the name of a loss is its type by default. Without any connector, a module name
            alone, ``backbone_stage`` and ``head_feature`` get ``connector='auto'``, if the loss needs features of one
            shape.
        pairs: Returns the names of the modules at the ends of the stages, of the student and of the teacher; called
            only if a stage is named.
        heads: Returns the names of the last feature of the student's head and of the teacher's; called only for
            ``head_feature``.

    Returns:
        For each spot a dict with ``name``, ``student``, ``teacher``, ``loss``, the connectors and any other key.

    Raises:
        ValueError: Unknown keys, no module, no loss, or a stage that does not exist.
    """
    full: dict[str, Any] = dict(student=cfg) if isinstance(cfg, str) else dict(cfg)
    for key in full:
        if key not in KEYS:
            raise ValueError(f'model.spots: {key!r} is no key of a spot{did_you_mean(key, KEYS)} (there are {KEYS})')
    if isinstance(cfg, str) or any(key in full for key in _PLACES):
        spots = [spot for one in _with_modules(full, pairs, heads) for spot in spot_configs(one)]
        if not {'connector', 'teacher_connector'} & full.keys():
            spots = [dict(spot, connector=_default_connector(spot)) for spot in spots]
        return spots
    if 'student' not in full:
        raise ValueError(f'model.spots: {full} names no `student` module')
    full.setdefault('teacher', full['student'])
    for side in ('student', 'teacher'):
        full[side] = full[side] if isinstance(full[side], str) else tuple(full[side])
    full.setdefault('name', '+'.join(module_names(full['student'])))
    full.setdefault('loss', dict(type='MSELoss'))
    full.setdefault('connector', None)
    full.setdefault('teacher_connector', None)
    if isinstance(full['loss'], list | tuple):
        return _loss_configs(full)
    return [full]


def _with_modules(cfg: dict[str, Any], pairs: Callable[[], Sequence[tuple[str, str]]],
                  heads: Callable[[], tuple[str, str]] | None) -> list[dict[str, Any]]:
    """Return a spot's config with module names instead of a place, for each spot that it stands for."""
    places = [key for key in _PLACES if key in cfg]
    if not places:
        return [cfg]
    named = [key for key in ('student', 'teacher') if key in cfg]
    if named or len(places) > 1:
        given = ', '.join(f'`{key}` ({cfg[key]!r})' for key in places + named)
        raise ValueError('model.spots: a spot has either `backbone_stage`, or `head_feature`, or module names, not '
                         f'{given}')
    if places == ['backbone_stage']:
        return _stage_configs(cfg, pairs())
    given = cfg.pop('head_feature')
    if given is not True or heads is None:
        raise ValueError(f'model.spots: `head_feature` must be True, not {given!r}; to compare other features, name '
                         'the modules in `student` and `teacher`')
    student, teacher = heads()
    return [dict(cfg, student=student, teacher=teacher)]


def _default_connector(spot: Mapping[str, Any]) -> str | None:
    """Return ``'auto'`` for a loss between two features of one shape, which could not compare any others."""
    if not (isinstance(spot['student'], str) and isinstance(spot['loss'], Mapping)):
        return None
    kind = LOSSES.get(str(spot['loss'].get('type')).rpartition('.')[2])
    return 'auto' if getattr(kind, 'same_shape', True) else None


def _loss_configs(cfg: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one spot's config for each of several losses; each has connectors of its own."""
    spots = []
    for i, entry in enumerate(cfg['loss']):
        if not isinstance(entry, Mapping) or 'type' not in entry:
            raise ValueError(f'model.spots: spot {cfg["name"]!r}: `loss[{i}]` must be the config of a loss, with '
                             f'`type`, not {entry!r}')
        loss = dict(entry)
        name = loss.pop('name', str(loss['type']).rpartition('.')[2])
        weight = cfg.get('weight', 1.0) * loss.pop('weight', 1.0)
        spots.append(dict(cfg, name=f'{cfg["name"]}.{name}', loss=loss, weight=weight))
    if not spots:
        raise ValueError(f'model.spots: spot {cfg["name"]!r}: `loss` is an empty list')
    names = [spot['name'] for spot in spots]
    if len(set(names)) < len(names):
        raise ValueError(f'model.spots: spot {cfg["name"]!r}: its losses would be called {names}; give those of one '
                         'type a `name` each')
    return spots


def _stage_configs(cfg: dict[str, Any], pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return a spot's config with module names, for each of its stages."""
    stage = cfg.pop('backbone_stage')
    chosen = _chosen_stages(stage, len(pairs))
    found = []
    for one in chosen:
        numbers = _stage_numbers(one, len(pairs))
        label = '-'.join(map(str, numbers))
        if len(chosen) > 1:
            name = cfg.get('name', 'stage') + label
        else:
            name = cfg.get('name', f'stage{label}')
        student, teacher = zip(*(pairs[k - 1] for k in numbers), strict=True)
        if not isinstance(one, tuple):
            student, teacher = student[0], teacher[0]
        found.append(dict(cfg, name=name, student=student, teacher=teacher))
    return found


def _chosen_stages(stage: Any, count: int) -> list[Any]:
    """Return the stages of each spot that ``backbone_stage`` stands for: a number, or a tuple of numbers."""
    if stage == 'all':
        return list(range(1, count + 1))
    if stage == 'consecutive':
        return [(k, k + 1) for k in range(1, count)]
    return [tuple(stage) if isinstance(stage, list | tuple) else stage]


def _stage_numbers(stage: Any, count: int) -> tuple[int, ...]:
    """Return the numbers of one or more stages, counted from 1."""
    numbers = stage if isinstance(stage, tuple) else (stage,)
    if not all(isinstance(k, int) and 1 <= abs(k) <= count for k in numbers):
        raise ValueError(f"model.spots: `backbone_stage` must be a number from 1 to {count} (or from -1 to "
                         f"-{count}), a list of such, 'all' or 'consecutive', not {stage!r}"
                         f"{did_you_mean(str(stage), ['all', 'consecutive'])}")
    return tuple(k if k > 0 else count + 1 + k for k in numbers)
