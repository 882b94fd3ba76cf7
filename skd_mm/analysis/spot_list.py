"""The places at which two networks can be compared, and a config that distils one into the other."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor

from skd_mm.config import check_config, load_config
from skd_mm.distillers.networks import find_config, read_config
from skd_mm.distillers.probing import own_shape, probe
from skd_mm.features import FeatureExtractor, backbone_stages
from skd_mm.tasks import task_of
from skd_mm.utils import Layout, find_layout, text_table


@dataclass(frozen=True)
class Candidate:
    """A module whose output can be compared.

    Attributes:
        name: Its name as in the config of a spot.
        layout: The layout of its output.
        stride: Pixels of the image per position.
    """

    name: str
    layout: Layout
    stride: float

    @property
    def shape(self) -> str:
        """The output's shape, such as ``64×16×16`` for a map, or ``17 tokens×384``."""
        height, width = self.layout.grid
        if self.layout.kind == 'vector':
            return str(self.layout.channels)
        if self.layout.kind == 'tokens':
            return f'{height * width + self.layout.extra_tokens} tokens×{self.layout.channels}'
        return f'{self.layout.channels}×{height}×{width}'


@dataclass(frozen=True)
class SpotList:
    """The candidates of two networks, and how ``'auto'`` pairs them.

    Attributes:
        shape: ``(C, H, W)`` of the image that the student was run on.
        pairs: The student's stage, the teacher's, and what ``connector='auto'`` puts between them.
        unpaired: The stages without a counterpart, by role.
        heads: The modules after the backbone, by role.
        logits: The student's module at the logits and the teacher's; None if they do not have the same classes.
    """

    shape: tuple[int, ...]
    pairs: list[tuple[Candidate, Candidate, str]]
    unpaired: dict[str, list[Candidate]]
    heads: dict[str, list[Candidate]]
    logits: tuple[str, str] | None


def list_spots(teacher: str, student: str, shape: Sequence[int] | None = None) -> SpotList:
    """Find the candidates of two networks.

    Args:
        teacher: The path of its config, or its name in a zoo.
        student: The same.
        shape: ``(C, H, W)`` of the image that both are run on; None chooses a small one that they take.

    Returns:
        The list.

    Raises:
        FileNotFoundError: There is no such config; the closest names are given.
        ValueError: A network cannot be built or run, or has no backbone.
    """
    for path in (teacher, student):
        find_config(path)  # before the other one is built
    init_default_scope(read_config(student).get('default_scope') or 'mmengine')
    distiller: Any = MODELS.build(dict(type='skd_mm.Distiller', student=dict(cfg=student), teacher=dict(cfg=teacher),
                                       spots='backbone', input_shape=shape))
    size = tuple(shape) if shape else tuple(distiller.input_shape)
    networks: dict[str, FeatureExtractor] = dict(student=distiller.student_network, teacher=distiller.teacher_network)
    stages = {role: _stages(network, size) for role, network in networks.items()}
    known = {role: {stage.name: stage for stage in found} for role, found in stages.items()}
    pairs = []
    for spot in distiller.spots.values():
        parts = [f'{type(part).__name__} (teacher)' for part in (*spot.teacher_layout, *spot.teacher_connector)]
        parts = [type(part).__name__ for part in (*spot.layout, *spot.connector)] + parts
        pairs.append((known['student'][spot.student], known['teacher'][spot.teacher], ', '.join(parts) or 'nothing'))
    paired = {'student': {own.name for own, _, _ in pairs}, 'teacher': {other.name for _, other, _ in pairs}}
    unpaired = {role: [stage for stage in found if stage.name not in paired[role]] for role, found in stages.items()}
    heads = {role: _heads(network, size) for role, network in networks.items()}
    return SpotList(size, pairs, unpaired, heads, _logits(networks, heads))


def format_spots(found: SpotList) -> str:
    """Return the list as text.

    Args:
        found: The list.

    Returns:
        Tables, side by side: the student's candidates on the left, the teacher's on the right.
    """
    rows: list[Sequence[Any]] = [
        (own.name, own.shape, f'{own.stride:g}', other.name, other.shape, f'{other.stride:g}', connectors)
        for own, other, connectors in found.pairs]
    rows += [(own.name, own.shape, f'{own.stride:g}', None, None, None, 'no counterpart')
             for own in found.unpaired['student']]
    rows += [(None, None, None, other.name, other.shape, f'{other.stride:g}', 'no counterpart')
             for other in found.unpaired['teacher']]
    columns = ('student', 'shape', 'stride', 'teacher', 'shape', 'stride', "what 'auto' does")
    size = '×'.join(map(str, found.shape))
    text = [f"Stages of the backbones for an image of {size}, as spots='backbone' pairs them:", '',
            text_table(columns, rows, left=7), '', 'Modules after the backbones:', '']
    own, other = found.heads['student'], found.heads['teacher']
    lines = []
    for i in range(max(len(own), len(other))):
        cells = [side[i] if i < len(side) else None for side in (own, other)]
        lines.append([value for cell in cells
                      for value in ((cell.name, cell.shape) if cell is not None else (None, None))])
    text.append(text_table(('student', 'shape', 'teacher', 'shape'), lines, left=4))
    if found.logits is not None:
        text += ['', f'Logits: {found.logits[0]} (student), {found.logits[1]} (teacher)']
    return '\n'.join(text)


def zoo_checkpoint(path: str) -> str | None:
    """Return the URL of the weights that a zoo lists for one of its configs; None if it lists none.

    Args:
        path: The name of the config.
    """
    file = Path(find_config(path))
    for name in ('metafile.yml', 'metafile.yaml'):
        metafile = file.parent / name
        if not metafile.is_file():
            continue
        models = yaml.safe_load(metafile.read_text()).get('Models', [])
        own = [model for model in models if Path(model.get('Config', '')).name == file.name]
        named = [model for model in own if model.get('Name') == file.stem]
        weights = [model['Weights'] for model in [*named, *own] if model.get('Weights')]
        return weights[0] if weights else None
    return None


def write_config(file: str, teacher: str, student: str, found: SpotList, checkpoint: str | None = None) -> None:
    """Write a config that distils the teacher into the student.

    The backbone is trained stage by stage for half of the student's schedule, then the rest on the ground truth and the
    teacher's logits.

    Args:
        file: Where to; it must not exist.
        teacher: The path of the teacher's config, or its name in a zoo.
        student: The same for the student: a whole config, with data, evaluation and a training length.
        found: The candidates of both.
        checkpoint: The teacher's weights; by default those that the zoo lists.

    Raises:
        FileExistsError: The file exists.
        ValueError: The student's config is none of a run.
    """
    if os.path.exists(file):
        raise FileExistsError(f'{file!r} exists; remove it, or write another file')
    base = read_config(student)
    missing = [key for key in ('train_dataloader', 'train_cfg', 'optim_wrapper') if key not in base]
    if missing:
        raise ValueError(f'{student!r} has no {" and no ".join(missing)}: the student needs a config that can be '
                         'trained')
    checkpoint = checkpoint or zoo_checkpoint(teacher)
    text = '\n'.join([
        f'# The teacher is {teacher}.', f'_base_ = {_reference(student, file)!r}',
        "custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)", '',
        'model = dict(', '    _delete_=True,', "    type='skd_mm.Distiller',", '    student=_base_.model,',
        '    teacher=dict(', f'        cfg={_absolute(teacher)!r},',
        f'        checkpoint={checkpoint!r}),' + ('' if checkpoint else '  # random weights: name its file'),
        *_spots(found), *_schedule(base, found.logits is not None), ''])
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(text)
    check_config(load_config(file))


def _candidate(network: FeatureExtractor, shape: Sequence[int], name: str, output: Tensor) -> Candidate:
    size = own_shape(network, shape)
    layout = find_layout(output, (size[1], size[2]) if len(size) == 3 else None)
    return Candidate(name, layout, size[1] / layout.grid[0] if len(size) == 3 else 1)


def _stages(network: FeatureExtractor, shape: Sequence[int]) -> list[Candidate]:
    found = probe(network, shape, lambda call: backbone_stages(network, call))
    return [_candidate(network, shape, name, output) for name, output in found]


def _heads(network: FeatureExtractor, shape: Sequence[int]) -> list[Candidate]:
    """Return the outer modules after the backbone whose outputs are tensors, in the order of the forward pass."""
    outputs = {path: output for path, output in probe(network, shape, network.trace)
               if path.count('.') < 2 and not path.startswith(('backbone', 'data_preprocessor'))}
    return [_candidate(network, shape, path, output) for path, output in outputs.items()
            if isinstance(output, Tensor) and output.dim() in (2, 3, 4)]


def _logits(networks: Mapping[str, FeatureExtractor],
            heads: Mapping[str, Sequence[Candidate]]) -> tuple[str, str] | None:
    """Return the last modules whose outputs have one channel per class, if both networks have the same classes."""
    classes = {role: task_of(network.model).num_classes(network.model) for role, network in networks.items()}
    if classes['student'] is None or classes['student'] != classes['teacher']:
        return None
    names = {}
    for role, found in heads.items():
        # The innermost one: the head around it may resize its output.
        named = [one.name for one in found if one.layout.channels == classes[role] and '.' in one.name]
        if not named:
            return None
        names[role] = named[-1]
    return names['student'], names['teacher']


def _absolute(path: str) -> str:
    return path if '::' in path else str(Path(find_config(path)).resolve())


def _reference(path: str, file: str) -> str:
    """Return a config's path as ``_base_`` of another file."""
    if '::' in path:
        return path
    return os.path.relpath(Path(find_config(path)).resolve(), Path(file).resolve().parent)


def _spots(found: SpotList) -> list[str]:
    lines = ['    spots=[']
    lines += [f"        dict(student={own.name!r}, teacher={other.name!r}, connector='auto'),"
              for own, other, _ in found.pairs]
    if found.logits is not None:
        own, other = found.logits
        dense = any(one.name == own and one.layout.kind == 'map' for one in found.heads['student'])
        lines.append(f"        dict(name='logits', student={own!r}, teacher={other!r},")
        if dense:
            lines.append("             teacher_connector=dict(type='Resize'), weight=3, loss=dict(type='CWDLoss')),")
        else:
            lines.append("             loss=dict(type='KDLoss')),")
    return [*lines, '    ])', '']


def _schedule(base: Mapping[str, Any], logits: bool) -> list[str]:
    """Return the lines of the schedule: half of the student's own length for the backbone, half for the rest."""
    loop: Mapping[str, Any] = base['train_cfg']
    unit, length = ('iters', loop['max_iters']) if 'max_iters' in loop else ('epochs', loop.get('max_epochs', 1))
    first, last = max(length // 8, 1), max(length // 2, 1)
    head = f'{unit}={last}' + (', spots=dict(logits=1)' if logits else '')
    interval = max(first // 5, 1)
    kind = "[dict(type='PolyLR', power=0.9, by_epoch=False)]"
    if isinstance(base.get('param_scheduler'), Mapping):
        kind = "dict(_delete_=True, type='PolyLR', power=0.9, by_epoch=False)"
    return ['schedule = dict(', f"    type='BackboneFirst', phase_{unit}={first}, val_interval={interval},",
            f'    head=dict({head}))', "train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')",
            f'param_scheduler = {kind}  # to the end of each phase']
