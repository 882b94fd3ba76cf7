"""The config of each run of a study, and its digest."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from skd_mm.config import merge_options
from skd_mm.distillers.networks import find_checkpoint, network_config, read_config
from skd_mm.engine.resume import LOCATIONS
from skd_mm.utils import did_you_mean

from .study import Method, Study, StudyError, Teacher

# Settings that only affect tests; a change of them repeats no training.
_TEST = ('test_dataloader', 'test_evaluator', 'test_cfg', 'test_pipeline', 'tta_model', 'tta_pipeline')
# What mmsegmentation's IoUMetric returns for each of its `iou_metrics`.
_IOU = dict(mIoU=('mIoU', 'mAcc'), mDice=('mDice', 'mAcc'), mFscore=('mFscore', 'mPrecision', 'mRecall'))
# Where the results are measured, by split.
_REPORT = dict(test=('test_dataloader', 'test_evaluator'), val=('val_dataloader', 'val_evaluator'))


def method_config(study: Study, method: Method, fraction: float | None = None, seed: int = 0) -> Config:
    """Return the config of a run, without its length and its teacher.

    Options are applied in the order ``data``, ``options`` of the study, ``options`` of the method.

    Args:
        study: The study.
        method: The method.
        fraction: Share of the training images; None keeps that of the config.
        seed: Seed of the run.

    Returns:
        The config.

    Raises:
        StudyError: An option cannot be set, or the config has no ``schedule``.
    """
    where = f'method {method.name!r}'
    cfg = read_config(method.cfg)
    _merge(cfg, where, study.data, study.options, method.options)
    if 'schedule' not in cfg:
        raise StudyError(f'{where}: {method.cfg} has no `schedule`; only teachers may be ordinary runs (for training '
                         "without a teacher: schedule=dict(type='NoTeacher'))")
    if fraction is not None:
        cfg.schedule.fraction = fraction
    cfg.schedule.fraction_seed = seed if study.fraction_seed is None else study.fraction_seed
    if method.epochs is not None:
        set_length(cfg, 'epochs', method.epochs)
    return cfg


def teacher_config(study: Study, teacher: Teacher) -> Config:
    """Return the config of a teacher's run.

    Args:
        study: The study.
        teacher: The teacher.

    Returns:
        The config.

    Raises:
        StudyError: An option cannot be set.
    """
    cfg = read_config(teacher.cfg)
    _merge(cfg, f'teacher {teacher.name!r}', study.data, teacher.options)
    return cfg


def _merge(cfg: Config, where: str, *options: Mapping[str, Any]) -> None:
    for settings in options:
        try:
            merge_options(cfg, settings)
        except ValueError as error:
            raise StudyError(f'{where}: {str(error).replace("--cfg-options", "the option")}') from error


def set_length(cfg: Config, unit: str, length: int) -> None:
    """Set the length of all phases of a config, and scale the milestones of its schedules in proportion.

    Args:
        cfg: A config with a ``schedule``.
        unit: ``'epochs'`` or ``'iters'``.
        length: The length of each phase.
    """
    key, other = f'phase_{unit}', 'phase_iters' if unit == 'epochs' else 'phase_epochs'
    before = cfg.schedule.get(key)
    cfg.schedule.pop(other, None)
    cfg.schedule[key] = length
    if not before or before == length:
        return
    schedulers: Any = cfg.get('param_scheduler') or []
    each: Any
    for each in [schedulers] if isinstance(schedulers, Mapping) else schedulers:
        if 'milestones' in each and each.get('by_epoch', True) == (unit == 'epochs'):
            each['milestones'] = [max(1, round(at * length / before)) for at in each['milestones']]


def find_networks(study: Study, where: str, cfg: Config, teacher: str | None = None) -> dict[str, Teacher]:
    """Return the networks of the study that a run uses.

    The teacher is the one with the config of ``model.teacher``. A student with a ``checkpoint`` starts from the one
    with the config of ``model.student``.

    Args:
        study: The study.
        where: What the run is called in messages.
        cfg: Its config.
        teacher: Name of the teacher, if several have the same config.

    Returns:
        Them by role, ``'teacher'`` and ``'student'``; without those that are not among the study's.

    Raises:
        StudyError: Several have that config, or a checkpoint does not exist.
    """
    if 'schedule' not in cfg:
        return {}
    networks = {}
    for role in ('teacher', 'student'):
        settings = cfg.model.get(role) or {}
        found = [entry for entry in study.teachers if entry.cfg == settings.get('cfg')]
        if role == 'student' and not settings.get('checkpoint'):
            continue
        if role == 'teacher' and teacher is not None:
            found = [entry for entry in study.teachers if entry.name == teacher]
        if len(found) > 1:
            names = [entry.name for entry in found]
            choice = ': choose one with `teacher`' if role == 'teacher' else ''
            raise StudyError(f'{where}: the teachers {names} have the config {found[0].cfg}{choice}')
        if found:
            networks[role] = found[0]
        elif settings.get('checkpoint') and not cfg.get('prelude'):
            _check_checkpoint(settings, role, where)
    return networks


def _check_checkpoint(settings: Mapping[str, Any], role: str, where: str) -> None:
    """Check that the weights of a network that the study does not train exist."""
    try:
        find_checkpoint(settings['checkpoint'], role)
    except FileNotFoundError as error:
        raise StudyError(f'{where}: {error}. Let the study train the {role} with study.teachers='
                         f'[dict(cfg={settings.get("cfg")!r})]') from error


def weights_pattern(cfg: Config) -> str:
    """Return the pattern of the files with a run's final weights: the best ones if it keeps them, else the last."""
    hook = cfg.get('default_hooks', {}).get('checkpoint') or {}
    if 'schedule' in cfg or hook.get('save_best'):
        return 'best_*.pth'
    by_epoch = 'Epoch' in str(cfg.train_cfg.get('type')) or cfg.train_cfg.get('by_epoch')
    return 'epoch_*.pth' if by_epoch else 'iter_*.pth'


def training_digest(cfg: Config, seed: int, trained: Mapping[str, str] | None = None) -> str:
    """Return the digest of all settings that a training depends on.

    The networks' and the prelude's configs count with their content. Paths of data below ``SKD_MM_DATA``, the settings
    of tests and the location of the run do not count.

    Args:
        cfg: The config.
        seed: Seed of the run.
        trained: By role, the digest of the training of each network that the study trains.

    Returns:
        12 hexadecimal digits.
    """
    settings = cfg.to_dict()
    for key in (*LOCATIONS, *_TEST):
        settings.pop(key, None)
    model = settings.get('model', {})
    for role in ('teacher', 'student'):
        if isinstance(model.get(role), dict) and 'type' not in model[role]:
            network, scope = network_config(cfg.model[role], role)
            model[role] = dict(model[role], cfg=[Config(dict(model=network)).to_dict(), scope])
    for role, digest in (trained or {}).items():
        model[role]['checkpoint'] = digest
    if settings.get('prelude'):
        prelude = {key: value for key, value in settings['prelude'].items() if key != 'dir'}
        settings['prelude'] = dict(prelude, cfg=read_config(prelude['cfg']).to_dict())
    return _digest([settings, seed])


def report_digest(cfg: Config, split: str) -> str:
    """Return the digest of the data and the metrics that results are measured with.

    Args:
        cfg: The config.
        split: ``'test'`` or ``'val'``.

    Returns:
        12 hexadecimal digits.
    """
    return _digest([cfg.get(key) for key in _REPORT[split]])


def check_metric(cfg: Config, split: str, metric: str) -> None:
    """Check that a config's evaluator gives a metric, as far as its names are known.

    Args:
        cfg: The config.
        split: ``'test'`` or ``'val'``.
        metric: Name of the metric.

    Raises:
        StudyError: It does not; the metrics of mmsegmentation's ``IoUMetric`` and mmpretrain's ``Accuracy`` are known.
    """
    evaluators: Any = cfg[_REPORT[split][1]]
    known: list[str] = []
    for evaluator in [evaluators] if isinstance(evaluators, Mapping) else evaluators:
        kind = str(evaluator['type']).rpartition('.')[2]
        if kind == 'IoUMetric':
            names = ['aAcc', *(name for each in evaluator.get('iou_metrics', ['mIoU']) for name in _IOU[each])]
        elif kind == 'Accuracy':
            names = [f'accuracy/top{k}' for k in np.atleast_1d(evaluator.get('topk', 1))]
        else:
            return
        known += names
    if metric not in known:
        raise StudyError(f'study.metric={metric!r} is none of the metrics of `{_REPORT[split][1]}`, {known}'
                         f'{did_you_mean(metric, known)}')


def report_data(cfg: Config, split: str) -> tuple[str, Any]:
    """Return the config key of the data set that results are measured on, and its config.

    Args:
        cfg: The config of a run.
        split: ``'test'`` or ``'val'``.

    Returns:
        The key and the config.

    Raises:
        StudyError: The config has no such data or no metric for it.
    """
    for key in _REPORT[split]:
        if not cfg.get(key):
            raise StudyError(f'study.split={split!r}, but the config has no `{key}`')
    loader = _REPORT[split][0]
    return f'{loader}.dataset', cfg[loader].dataset


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    data = os.environ.get('SKD_MM_DATA')
    if data:
        text = text.replace(data.rstrip('/'), '$SKD_MM_DATA')
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def write_config(cfg: Config, path: Path) -> None:
    """Write a config as one file without bases.

    Args:
        cfg: The config.
        path: The file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    cfg.dump(path)
