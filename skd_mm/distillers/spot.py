"""A spot: a named place where the student is compared with the teacher."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skd_mm.losses import SpotLoss
from skd_mm.registry import CONNECTORS, LOSSES, build
from skd_mm.utils import did_you_mean

_KEYS = ('name', 'student', 'teacher', 'connector', 'teacher_connector', 'loss')


def spot_config(cfg: str | Mapping[str, Any]) -> dict[str, Any]:
    """Completes what a config says of a spot.

    Args:
        cfg: A module name, which is then the same on both sides, or a dict with the arguments of :class:`Spot`.

    Returns:
        A dict with ``name``, ``student``, ``teacher``, ``loss`` and the connectors.

    Raises:
        ValueError: Unknown keys, or no module.
    """
    full: dict[str, Any] = dict(student=cfg) if isinstance(cfg, str) else dict(cfg)
    for key in full:
        if key not in _KEYS:
            raise ValueError(f'model.spots: {key!r} is no key of a spot{did_you_mean(key, _KEYS)} (there are {_KEYS})')
    if 'student' not in full:
        raise ValueError(f'model.spots: {full} names no `student` module')
    full.setdefault('name', full['student'])
    full.setdefault('teacher', full['student'])
    full.setdefault('loss', dict(type='MSELoss'))
    full.setdefault('connector', None)
    full.setdefault('teacher_connector', None)
    return full


class Spot(nn.Module):
    """Two modules, what makes their features comparable, and the loss between them.

    Args:
        name: Its name in schedules and logs; the student's module name by default.
        student: Name of a module of the student, see :class:`skd_mm.features.Network`.
        teacher: Name of a module of the teacher; the same name by default.
        loss: Config of a loss; :class:`skd_mm.losses.MSELoss` by default.
        connector: Config of a connector, or a list of them, applied to the student's feature; ``'auto'`` puts a 1×1
            convolution where the channels differ and a resize where the resolution does. None by default.
        teacher_connector: The same on the teacher's side.
        student_feature: An example of the student's feature, ``[1, C, ...]``; gives the connectors their channels.
        teacher_feature: The same of the teacher; None where there is no teacher, and nothing can be checked.

    Raises:
        ValueError: The features cannot be compared; the message says what would bridge them.
    """

    def __init__(self, name: str, student: str, teacher: str, loss: Mapping[str, Any],
                 connector: str | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
                 teacher_connector: str | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
                 student_feature: Tensor, teacher_feature: Tensor | None) -> None:
        super().__init__()
        self.name = name
        self.student = student
        self.teacher = teacher
        partner = student_feature if teacher_feature is None else teacher_feature
        self.connector = _build_connector(connector, student_feature, partner)
        self.teacher_connector = _build_connector(teacher_connector, partner, student_feature)
        self.loss: SpotLoss = build(LOSSES, dict(loss))
        self.shapes = (tuple(student_feature.shape[1:]), tuple(partner.shape[1:]))
        if teacher_feature is not None and self.loss.same_shape:
            self._check(student_feature, teacher_feature)

    def _check(self, student_feature: Tensor, teacher_feature: Tensor) -> None:
        was = self.training
        try:
            # A connector's BN is not to see these.
            with torch.no_grad():
                student, teacher = self.eval().connect(student_feature, teacher_feature)
        except RuntimeError as error:
            raise ValueError(f'spot {self.name!r}: its connector does not take the feature '
                             f'{list(student_feature.shape)}: {error}') from error
        finally:
            self.train(was)
        if student.shape == teacher.shape:
            return
        hints = []
        if student.dim() != teacher.dim():
            hints = ['the two have different numbers of dimensions, and no connector bridges that']
        else:
            if student.shape[1] != teacher.shape[1]:
                hints.append("connector=dict(type='Conv1x1') bridges the channels")
            if student.shape[2:] != teacher.shape[2:]:
                hints.append("connector=dict(type='Resize') the resolution")
            hints = [', '.join(hints) + "; connector='auto' does what is needed"]
        raise ValueError(f"spot {self.name!r}: the student's {self.student!r} gives {list(student.shape[1:])}, the "
                         f"teacher's {self.teacher!r} gives {list(teacher.shape[1:])}: {hints[0]}")

    def connect(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Makes two features comparable.

        Args:
            student: ``[B, C, ...]``, the student's feature.
            teacher: ``[B, C', ...]``, the teacher's.

        Returns:
            Both, behind their connectors.
        """
        return _apply(self.connector, student, teacher), _apply(self.teacher_connector, teacher, student)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compares two features.

        Args:
            student: ``[B, C, ...]``, the student's feature.
            teacher: ``[B, C', ...]``, the teacher's.

        Returns:
            The loss, ``[B]``, or a scalar where the loss is relational.
        """
        return self.loss(*self.connect(student, teacher))


def _build_connector(cfg: Any, feature: Tensor, partner: Tensor) -> nn.ModuleList:
    if cfg == 'auto':
        cfg = []
        if feature.shape[1] != partner.shape[1]:
            cfg.append(dict(type='Conv1x1'))
        if feature.shape[2:] != partner.shape[2:]:
            cfg.append(dict(type='Resize'))
    if isinstance(cfg, str):
        raise ValueError(f"a connector is a config, a list of configs or 'auto', not {cfg!r}"
                         f"{did_you_mean(cfg, ['auto', *CONNECTORS.module_dict])}")
    cfgs = [] if cfg is None else [cfg] if isinstance(cfg, Mapping) else list(cfg)
    return nn.ModuleList(
        build(CONNECTORS, dict(entry), in_channels=feature.shape[1], out_channels=partner.shape[1]) for entry in cfgs)


def _apply(connector: nn.ModuleList, feature: Tensor, partner: Tensor) -> Tensor:
    for part in connector:
        feature = part(feature, partner)
    return feature
