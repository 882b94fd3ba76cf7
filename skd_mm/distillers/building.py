"""Builds the parts of a distiller from their configs: the teacher, the stages, the spots and the router."""

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from mmengine.dist import is_distributed
from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn

from skd_mm.connectors.shapes import channels
from skd_mm.features import FeatureExtractor, Stage, StageSplit
from skd_mm.registry import MODELS, build
from skd_mm.routing import Router
from skd_mm.tasks import task_of

from .discriminators import Adversary, build_adversary
from .inputs import TeacherInput, input_size
from .networks import build_network, load_weights
from .probing import features_at, head_features, image_sizes, pooled_feature, split_at, stage_entries, stage_pairs
from .routed import Routing
from .spot import Reconstruction, Setting, Spot, module_names, select_features
from .spot_configs import spot_configs


def build_teacher(cfg: Mapping[str, Any]) -> nn.Module:
    """Build a frozen teacher and load its weights.

    Args:
        cfg: ``model.teacher``: a model config, or ``dict(cfg=..., checkpoint=..., options=..., mode=...)``.

    Returns:
        The teacher, without gradients, in eval mode (or in training mode with ``mode='train'``).

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        ValueError: ``mode`` is unknown, the model cannot be built, or the checkpoint does not fit it.
    """
    teacher = build_network(cfg, 'teacher')
    mode = cfg.get('mode', 'eval')
    if mode not in ('eval', 'train'):
        raise ValueError(f"model.teacher.mode must be 'eval' or 'train', not {mode!r}")
    if cfg.get('checkpoint') is not None:
        try:
            load_weights(teacher, cfg['checkpoint'], 'teacher')
        except FileNotFoundError as error:
            how = f'; `python tools/train.py {cfg["cfg"]}` trains one' if isinstance(cfg.get('cfg'), str) else ''
            raise FileNotFoundError(f'{error}{how}') from None
    else:
        print_log('teacher: no checkpoint is given, its weights are random', logger='current', level=logging.WARNING)
    if mode == 'eval' or not (is_distributed() and torch.cuda.is_available()):
        # The Runner reverts SyncBN in the modules of its model only, and the teacher is none of them.
        teacher = revert_sync_batchnorm(teacher)
    teacher.requires_grad_(False)
    teacher.train(mode == 'train')
    return teacher


def build_teacher_input(student: nn.Module, teacher: nn.Module | None, size: Any = None) -> TeacherInput | None:
    """Build what makes the teacher's images of the student's.

    Args:
        student: The student.
        teacher: The teacher, or None.
        size: ``model.teacher.input_size``, see :func:`skd_mm.distillers.inputs.input_size`.

    Returns:
        It, or None without a teacher.

    Raises:
        ValueError: Their data preprocessors are incompatible, or the size is none.
    """
    if teacher is None:
        return None
    taken = input_size(teacher, size)
    try:
        return TeacherInput(student.data_preprocessor, teacher.data_preprocessor, taken)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError('model.teacher.data_preprocessor and model.student.data_preprocessor are incompatible: '
                         f'{error}') from error


def build_spots(cfgs: str | Sequence[str | Mapping[str, Any]], student: FeatureExtractor,
                teacher: FeatureExtractor | None, shape: Sequence[int],
                own_stages: tuple[Sequence[str] | None, Sequence[str] | None]) -> tuple[list[Spot], StageSplit]:
    """Build the spots, and cut the student into stages at their modules.

    Args:
        cfgs: ``model.spots``.
        student: The student.
        teacher: The teacher, or None.
        shape: ``(C, H, W)`` of an image.
        own_stages: ``backbone_stages`` of ``model.student`` and of ``model.teacher``.

    Returns:
        The spots in the order of the forward pass, and the student in stages, named by the features at their ends.

    Raises:
        KeyError: A spot names a module that does not exist.
        ValueError: Two spots have one name, or features cannot be compared.
    """
    pairs = functools.cache(lambda: stage_pairs(student, teacher, shape, *own_stages))
    heads = functools.cache(lambda: head_features(student, teacher, shape))
    if cfgs == 'backbone':
        cfgs = [dict(student=one, teacher=other, connector='auto') for one, other in pairs()]
    full = [cfg for spot in cfgs for cfg in spot_configs(spot, pairs, heads)]
    called = [cfg['name'] for cfg in full]
    if len(set(called)) < len(called):
        twice = sorted({name for name in called if called.count(name) > 1})
        raise ValueError(f'model.spots: each needs a `name` of its own; {twice} occur more than once in {called}')
    # A stage ends where all that its spots need is available.
    cuts = list(dict.fromkeys(module_names(cfg['student'])[-1] for cfg in full))
    split = split_at(student, shape, cuts, {name for cfg in full for name in module_names(cfg['student'])})
    targets: dict[str, Tensor] = {}
    if teacher is not None:
        targets = features_at(teacher, shape, {name for cfg in full for name in module_names(cfg['teacher'])})
    order = [stage.name for stage in split.stages]
    full.sort(key=lambda cfg: order.index(module_names(cfg['student'])[-1]))
    setting = Setting(task_of(student.model).num_classes(student.model), image_sizes(student, teacher, shape))
    spots = []
    for cfg in full:
        example = select_features(targets, cfg['teacher']) if targets else None
        spots.append(Spot(**cfg, setting=setting, features=(select_features(split.features, cfg['student']), example)))
    return spots, split


def name_stages(stages: Sequence[Stage], spots: Sequence[Spot]) -> tuple[list[Stage], dict[str, list[str]]]:
    """Name the stages after their spots.

    Args:
        stages: The stages, named by the features at their ends.
        spots: The spots.

    Returns:
        The stages, and the names of each one's spots by its name. A stage with one spot is named after it, one with
        several after their module.
    """
    named, spots_of = [], {}
    for stage in stages:
        own = [spot.name for spot in spots if module_names(spot.student)[-1] == stage.name]
        name = own[0] if len(own) == 1 else stage.name
        named.append(replace(stage, name=name))
        spots_of[name] = own
    return named, spots_of


def all_terms(spots: Sequence[Spot]) -> dict[str, Spot | Reconstruction | Adversary]:
    """Return all that a phase can activate, by name.

    Args:
        spots: The spots.

    Returns:
        The spots, then what belongs to them: ``<name>.teacher`` and ``<name>.discriminator``.
    """
    terms: dict[str, Spot | Reconstruction | Adversary] = {spot.name: spot for spot in spots}
    for spot in spots:
        if spot.reconstruction is not None:
            terms[f'{spot.name}.teacher'] = spot.reconstruction
    for spot in spots:
        if spot.discriminator is not None:
            terms[f'{spot.name}.discriminator'] = build_adversary(spot)
    return terms


def build_routing(cfg: Mapping[str, Any], spots: Sequence[Spot], student: FeatureExtractor,
                  teacher: FeatureExtractor | None, shape: Sequence[int]) -> Routing:
    """Build the router, and find how both networks are entered after each spot.

    Args:
        cfg: ``model.router``.
        spots: The spots.
        student: The student.
        teacher: The teacher.
        shape: ``(C, H, W)`` of an image.

    Returns:
        The router and what it looks at.

    Raises:
        ValueError: There is no teacher or no spot, several spots are at one module, or a network cannot be entered.
    """
    if teacher is None or not spots:
        raise ValueError('model.router needs a teacher and spots')
    given = cfg.get('policy_input')
    inputs = given if isinstance(given, Mapping) else {'student': given, 'teacher': given}
    policy_input: dict[str, str] = {}
    ends: dict[str, list[str]] = {}
    features: dict[str, dict[str, Tensor]] = {}
    for network in (student, teacher):
        role = network.role
        policy_input[role] = inputs[role] or pooled_feature(network, shape)
        ends[role] = [module_names(getattr(spot, role))[-1] for spot in spots]
        features[role] = features_at(network, shape, {*ends[role], policy_input[role]})
    if len(set(ends['student'])) < len(spots):
        raise ValueError(f'model.router: it routes samples from module to module, and several spots are at one of '
                         f'{ends["student"]}; give each module one spot')
    # Whoever decides, the student starts from the same weights.
    with torch.random.fork_rng(devices=[]):
        router: Router = build(
            MODELS, dict(type='Router') | dict(cfg), spots=[spot.name for spot in spots],
            policy_channels=sum(channels(features[role][name]) for role, name in policy_input.items()),
            **{role: [features[role][end] for end in ends[role]] for role in ends})
    entries = {}
    if router.learns:
        entries = {network.role: stage_entries(network, shape, ends[network.role]) for network in (student, teacher)}
    return Routing(router, policy_input, ends, entries)
