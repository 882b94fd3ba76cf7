"""Building the connectors of a spot, on both sides, from their configs."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.registry import Registry
from torch import Tensor, nn

from skd_mm.connectors.auto import auto_connectors
from skd_mm.connectors.chain import connected
from skd_mm.connectors.shapes import channels, scale
from skd_mm.features import ImageSizes
from skd_mm.losses import Feature
from skd_mm.registry import CONNECTORS, build
from skd_mm.utils import ImageSize, did_you_mean, find_layout

ConnectorConfig = str | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None


class Side(NamedTuple):
    """The connectors of one side of a spot.

    Attributes:
        layout: Those that change the layout of the feature; they come before all others of the spot.
        connector: The others.
        feature: The example of the feature, after ``layout``.
    """

    layout: nn.ModuleList
    connector: nn.ModuleList
    feature: Feature


def build_sides(connector: ConnectorConfig, teacher_connector: ConnectorConfig, student: Feature, teacher: Feature,
                images: ImageSizes | None = None) -> tuple[Side, Side]:
    """Build the connectors of both sides of a spot.

    Args:
        connector: ``connector`` of the spot: a config, a list of configs, ``'auto'`` or None.
        teacher_connector: ``teacher_connector`` of the spot, the same.
        student: An example of the student's feature, ``[1, C, ...]``; a tuple if there are several modules.
        teacher: The same of the teacher.
        images: The sizes of the images that they were computed from; None if unknown.

    Returns:
        The student's side and the teacher's.

    Raises:
        ValueError: A connector cannot be built, both are ``'auto'``, or a spot at several modules has connectors.
    """
    sizes = images or (None, None)
    cfgs = [_as_list(connector), _as_list(teacher_connector)]
    if not isinstance(student, Tensor) or not isinstance(teacher, Tensor):
        if any(cfgs):
            raise ValueError('a spot at several modules takes no connectors')
        return (Side(nn.ModuleList(), nn.ModuleList(), student), Side(nn.ModuleList(), nn.ModuleList(), teacher))
    layouts, rest = zip(*(_split(cfg) for cfg in cfgs), strict=True)
    features = [_Arranged(*args) for args in zip((student, teacher), sizes, layouts, strict=True)]
    if 'auto' in cfgs:
        own = cfgs.index('auto')
        if cfgs[1 - own] == 'auto':
            raise ValueError("connector='auto' bridges all differences: leave out the teacher_connector")
        chosen = auto_connectors(*(find_layout(features[side].feature, sizes[side]) for side in (own, 1 - own)))
        for side, found in ((own, chosen.feature), (1 - own, chosen.reference)):
            more, added = _split(found)
            features[side] = features[side].then(more)
            rest[side][:0] = added
    examples = [arranged.feature for arranged in features]
    built = [build_connectors(cfg, examples[i], examples[1 - i]) for i, cfg in enumerate(rest)]
    own_side, other_side = (Side(arranged.layout, connectors, arranged.feature)
                            for arranged, connectors in zip(features, built, strict=True))
    return own_side, other_side


def build_connectors(cfgs: Sequence[Mapping[str, Any]], feature: Tensor, reference: Tensor) -> nn.ModuleList:
    """Build connectors that do not change the layout.

    Args:
        cfgs: Their configs; channels and scale are filled in from the features.
        feature: An example of the feature that they are given, ``[1, C, ...]``.
        reference: An example of the feature on the other side.

    Returns:
        The connectors.

    Raises:
        ValueError: One cannot be built.
    """
    known = dict(in_channels=channels(feature), out_channels=channels(reference))
    ratio = scale(feature, reference)
    return nn.ModuleList(build(CONNECTORS, dict(cfg), **known, **accepted(CONNECTORS, cfg, scale=ratio))
                         for cfg in cfgs)


def build_input_connector(cfg: ConnectorConfig, teacher: Feature, student: Feature,
                          images: ImageSizes | None = None) -> nn.ModuleList:
    """Build the connectors that map the teacher's feature to the student's.

    Args:
        cfg: ``input_connector`` of the spot: a config, a list of configs, ``'auto'`` or None.
        teacher: An example of the teacher's feature, ``[1, C', ...]``.
        student: An example of the student's feature, ``[1, C, ...]``.
        images: The sizes of the images of both, the student's first; None if unknown.

    Returns:
        The connectors, none for None.

    Raises:
        ValueError: One cannot be built, or what they return has not the shape of the student's feature.
    """
    cfgs = _as_list(cfg)
    if not cfgs:
        return nn.ModuleList()
    if not isinstance(student, Tensor) or not isinstance(teacher, Tensor):
        raise ValueError('a spot at several modules takes no connectors')
    if cfgs == 'auto':
        own, other = images or (None, None)
        chosen = auto_connectors(find_layout(teacher, other), find_layout(student, own))
        if chosen.reference or _split(chosen.feature)[0]:
            raise ValueError("input_connector='auto' bridges channels and resolution only, and the two features have "
                             'different layouts: name your own connector')
        cfgs = chosen.feature
    connectors = build_connectors(cfgs, teacher, student)
    with torch.no_grad():
        made = connected(connectors.eval(), teacher, student)
    if made.shape != student.shape:
        raise ValueError(f"its input_connector makes {list(made.shape[1:])} of the teacher's feature, not "
                         f"{list(student.shape[1:])}, as the student's is")
    return connectors.train()


def accepted(registry: Registry, cfg: Mapping[str, Any], **known: Any) -> dict[str, Any]:
    """Return those of the known arguments, if they are not None, that a component accepts when it is built.

    Args:
        registry: The registry of the component.
        cfg: Its config.
        **known: The arguments.

    Returns:
        A part of them.
    """
    kind = registry.get(str(cfg.get('type')).rpartition('.')[2])
    if kind is None:
        return {}
    names = inspect.signature(kind).parameters
    return {name: value for name, value in known.items() if value is not None and name in names}


class _Arranged:
    """An example of a feature in the layout that a spot compares, and the connectors that lead to it."""

    def __init__(self, feature: Tensor, image: ImageSize | None, cfgs: Sequence[Mapping[str, Any]]) -> None:
        self.feature, self.image, self.layout = feature, image, nn.ModuleList()
        self.then(cfgs)

    def then(self, cfgs: Sequence[Mapping[str, Any]]) -> '_Arranged':
        for cfg in cfgs:
            found = find_layout(self.feature, self.image)
            connector = build(CONNECTORS, dict(cfg), **accepted(CONNECTORS, cfg, extra_tokens=found.extra_tokens))
            self.feature = connector(self.feature, self.feature, self.image)
            self.layout.append(connector)
        return self


def _as_list(cfg: ConnectorConfig) -> Any:
    """Return a list of configs, or ``'auto'``."""
    if cfg is None or cfg == 'auto':
        return cfg or []
    if isinstance(cfg, str):
        raise ValueError(f"a connector is a config, a list of configs or 'auto', not {cfg!r}"
                         f"{did_you_mean(cfg, ['auto', *CONNECTORS.module_dict])}")
    return [cfg] if isinstance(cfg, Mapping) else list(cfg)


def _split(cfgs: Any) -> tuple[list, list]:
    """Split a list of configs into those at its start that change the layout, and the others."""
    if cfgs == 'auto':
        return [], []
    count = 0
    while count < len(cfgs) and _changes_layout(cfgs[count]):
        count += 1
    for cfg in cfgs[count:]:
        if _changes_layout(cfg):
            raise ValueError(f'{cfg["type"]} changes the layout: put it before all other connectors of the list')
    return list(cfgs[:count]), list(cfgs[count:])


def _changes_layout(cfg: Mapping[str, Any]) -> bool:
    return getattr(CONNECTORS.get(str(cfg.get('type')).rpartition('.')[2]), 'changes_layout', False)
