"""The run that must be there before a schedule starts: that of a lightweight teacher, and the bank of its targets."""

import glob
import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.runner.checkpoint import _load_checkpoint
from mmengine.version import __version__ as mmengine_version
from torch import Tensor

from skd_mm.checkpoint import CheckpointError
from skd_mm.distillers.networks import read_config
from skd_mm.models import TargetBank
from skd_mm.tasks import label_of
from skd_mm.utils import did_you_mean, launched_rank, write_json
from skd_mm.version import __version__

from .hooks.phase_checkpoint_hook import atomic_replace
from .ordinary_run import resume_exactly

PREFIX = 'prelude/'
_KEYS = ('cfg', 'options', 'min_accuracy', 'dir')
_DONE = 'done.json'
# The time until everything is finished; the second clock counts the time of this process alone.
_CLOCKS = dict(seconds=time.time, cpu_seconds=time.process_time)


@contextmanager
def _scope_kept() -> Iterator[None]:
    """Restore MMEngine's default scope: the run that follows has its own."""
    kept = dict(DefaultScope._instance_dict)
    try:
        yield
    finally:
        DefaultScope._instance_dict.clear()
        DefaultScope._instance_dict.update(kept)


@_scope_kept()
def run_prelude(cfg: Config, dry: bool = False) -> Config:
    """Train the prelude of a config if it is missing, and set the path of its output in the config.

    A prelude is an ordinary run::

        prelude = dict(
            cfg='configs/teachers/lenet5_1xb128-20e_digits100.py',  # of any model
            options={'train_cfg.max_epochs': 10},                   # changes to it; none by default
            min_accuracy={'accuracy/top1': 98},                     # that its validation has to reach; none by default
            dir='work_dirs/preludes')                               # <work_dir>/prelude by default
        model = dict(teacher=dict(type='skd_mm.TargetBank', num_classes=100, checkpoint='prelude/bank.pth'), ...)

    It is kept in a subfolder of ``dir`` whose name contains a digest of its whole config. A finished run is used, an
    interrupted one is resumed, and those of other configs are left untouched. ``prelude/`` at the beginning of
    ``model.teacher.checkpoint`` stands for that folder. If the teacher is a :class:`skd_mm.models.TargetBank`, its
    checkpoint is built there, too: the network's logits for the first ``rows`` training images of each class that it
    classifies correctly, with their origin in ``meta['prelude']``. Otherwise, the checkpoint is one that the run itself
    writes, such as ``prelude/best_*.pth``.

    In a distributed run, rank 0 does all this while the others wait, so the folder must be visible to all of them. Call
    this before any process group is created, as ``tools/train.py`` does.

    Args:
        cfg: The config, with its ``work_dir``; returned unchanged if it has no ``prelude``.
        dry: Train and write nothing. If the output is missing, the teacher gets no checkpoint.

    Returns:
        ``cfg``, in which the teacher's checkpoint has its path.

    Raises:
        FileNotFoundError: The config does not exist, or the run has not written the teacher's checkpoint.
        KeyError: The prelude has an unknown key, or lacks one.
        ValueError: The run does not reach ``min_accuracy``, or it has other classes than the bank.
    """
    if not cfg.get('prelude'):
        return cfg
    settings: dict[str, Any] = dict(cfg.prelude)
    for key in settings:
        if key not in _KEYS:
            raise KeyError(f'`prelude` has no key {key!r}{did_you_mean(key, _KEYS)} (it takes {list(_KEYS)})')
    if 'cfg' not in settings:
        raise KeyError('`prelude` needs `cfg`, the path of the config of an ordinary run')
    teacher = cfg.get('model', {}).get('teacher') or {}
    checkpoint = str(teacher.get('checkpoint'))
    if not checkpoint.startswith(PREFIX):
        raise ValueError('`prelude`: its output is not used: model.teacher.checkpoint should begin with '
                         f'{PREFIX!r}, not be {checkpoint!r}')
    run = read_config(settings['cfg'])
    run.merge_from_dict(dict(settings.get('options') or {}))
    min_accuracy = dict(settings.get('min_accuracy') or {})
    bank = _bank(teacher, cfg.get('default_scope'))
    if bank is not None:
        _check_classes(run, bank)
    digest = hashlib.blake2b(_canonical(run.to_dict()).encode(), digest_size=6).hexdigest()
    folder = Path(settings.get('dir') or Path(cfg.work_dir) / 'prelude') / f'{Path(settings["cfg"]).stem}-{digest}'
    file = folder / checkpoint[len(PREFIX):]
    cfg.model.teacher.checkpoint = str(file)
    if dry:
        if not _ready(folder, file, min_accuracy, bank):
            print_log(f'prelude: {settings["cfg"]} will be trained first, in {folder}', logger='current')
            cfg.model.teacher.checkpoint = None
        return cfg
    if launched_rank(cfg.get('launcher', 'none')):
        while not _ready(folder, file, min_accuracy, bank):
            time.sleep(1)
        return cfg
    with _only_one(folder):
        if _ready(folder, file, min_accuracy, bank):
            print_log(f'prelude: {folder} is there', logger='current')
        else:
            _make(run, folder, file, min_accuracy, bank, digest)
    return cfg


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Wait while another run trains the same prelude."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f'.{folder.name}.lock'), is_singleton=True)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print_log(f'prelude: waits for another run that trains {folder}', logger='current')
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _bank(teacher: Mapping[str, Any], scope: str | None) -> TargetBank | None:
    """Return the bank to fill, if the teacher is one."""
    if 'type' not in teacher or not str(teacher['type']).endswith(TargetBank.__name__):
        return None
    with MMENGINE_MODELS.switch_scope_and_registry(scope):
        return MMENGINE_MODELS.build({key: value for key, value in teacher.items() if key != 'checkpoint'})


def _check_classes(run: Config, bank: TargetBank) -> None:
    """Refuse a run with another number of classes before it is trained."""
    classes = run.get('model', {}).get('head', {}).get('num_classes')
    if classes not in (None, bank.num_classes):
        raise ValueError(f'`prelude`: its network has {classes} classes, model.teacher (a TargetBank) has num_classes='
                         f'{bank.num_classes}')


def _ready(folder: Path, file: Path, min_accuracy: Mapping[str, float], bank: TargetBank | None) -> bool:
    """Return whether all required files exist."""
    if not (folder / _DONE).is_file():
        return False
    metrics = json.loads((folder / _DONE).read_text())['metrics']
    if any(key not in metrics or metrics[key] < least for key, least in min_accuracy.items()):
        return False
    if bank is None:
        return bool(glob.glob(str(file)))
    return file.is_file() and _load_checkpoint(str(file), map_location='cpu', logger='silent')['meta'].get(
        'prelude', {}).get('rows') == bank.rows


def _make(run: Config, folder: Path, file: Path, min_accuracy: Mapping[str, float], bank: TargetBank | None,
          digest: str) -> None:
    began = {name: clock() for name, clock in _CLOCKS.items()}
    whole = not (folder / 'last_checkpoint').is_file()
    run.work_dir, run.resume, run.launcher = str(folder), folder.is_dir(), 'none'
    run.experiment_name = f'prelude_{folder.name}'
    print_log(f'prelude: trains {folder.name} in {folder}', logger='current')
    runner = Runner.from_cfg(run)
    # MMEngine has one visualizer of a name in a process; the run that follows writes its log into its own folder.
    type(runner.visualizer)._instance_dict.pop(runner.visualizer.instance_name, None)
    _resume(runner)
    earlier = _earlier(folder)
    if earlier is None:
        runner.train()
        metrics = {key: float(value) for key, value in runner.val().items()}
    else:
        runner.load_or_resume()
        metrics = earlier['metrics']
    for key, least in min_accuracy.items():
        if key not in metrics:
            raise ValueError(f'`prelude.min_accuracy`: {key!r} is not among the metrics of the validation, '
                             f'{list(metrics)}{did_you_mean(key, metrics)}')
        if not metrics[key] >= least:
            raise ValueError(f'`prelude.min_accuracy`: the teacher reaches {key} = {metrics[key]:.2f} and must reach '
                             f'{least}; its run is in {folder}')
    if bank is None and not glob.glob(str(file)):
        names = sorted(path.name for path in folder.glob('*.pth'))
        raise FileNotFoundError(f'model.teacher.checkpoint: the prelude has written no {file.name!r}'
                                f'{did_you_mean(file.name, names)} (in {folder} there are {names})')
    facts = dict(config=folder.name, digest=digest, seed=runner.seed, metrics=metrics,
                 versions=dict(skd_mm=__version__, torch=str(torch.__version__), mmengine=mmengine_version))
    if bank is not None:
        model: Any = runner.model
        logits = collect_rows(model, runner.train_dataloader, bank.num_classes, bank.rows)
        facts['rows'] = bank.rows
    for name, clock in _CLOCKS.items():
        # An interrupted run has no total.
        facts[name] = clock() - began[name] if whole else (earlier or {}).get(name)
    if bank is not None:
        tmp = file.with_name(f'.{file.name}.tmp')
        torch.save(dict(meta=dict(prelude=facts), state_dict={'bank.logits': logits}), tmp)
        atomic_replace(tmp, file)
        print_log(f'prelude: {file}, {file.stat().st_size / 2**20:.1f} MiB, {logits.shape[1]} rows for each of '
                  f'{logits.shape[0]} classes', logger='current')
    tmp = folder / f'.{_DONE}.tmp'
    write_json(tmp, facts)
    atomic_replace(tmp, folder / _DONE)


def _resume(runner: Runner) -> None:
    """Resume an interrupted ordinary run from its newest complete checkpoint, or start it from scratch."""
    try:
        resume_exactly(runner)
    except CheckpointError as error:
        print_log(f'prelude: it starts from scratch: {error}', logger='current', level=logging.WARNING)
        runner._resume = False


def _earlier(folder: Path) -> dict[str, Any] | None:
    """Return the record of a finished run, or None."""
    if not (folder / _DONE).is_file():
        return None
    return json.loads((folder / _DONE).read_text())


@torch.no_grad()
def collect_rows(model: Any, loader: Any, num_classes: int, rows: int) -> Tensor:
    """Return the logits of correctly classified samples by class (LW-KD's bank; our own design).

    Args:
        model: A classifier of mmpretrain, or any model that gives logits ``[B, K]`` in the mode ``'tensor'``.
        loader: Its training data loader; the samples are taken in the data set's order.
        num_classes: Number of classes, ``K``.
        rows: Number of samples per class.

    Returns:
        ``[K, rows, K]``.

    Raises:
        ValueError: A class has fewer samples, or the network has another number of classes.
    """
    model.eval()
    found: list[list[Tensor]] = [[] for _ in range(num_classes)]
    dataset, size = loader.dataset, 500
    for start in range(0, len(dataset), size):
        batch = loader.collate_fn([dataset[i] for i in range(start, min(start + size, len(dataset)))])
        data = model.data_preprocessor(batch, False)
        logits = model(**data, mode='tensor').float().cpu()
        if logits.shape[1] != num_classes:
            raise ValueError(f'`prelude`: its network has {logits.shape[1]} classes, model.teacher num_classes='
                             f'{num_classes}')
        for row, sample in zip(logits, data['data_samples'], strict=True):
            label = label_of(sample)
            assert label is not None
            if row.argmax() == label.cpu() and len(found[label]) < rows:
                found[label].append(row)
        if all(len(kept) == rows for kept in found):
            break
    short = {k: len(kept) for k, kept in enumerate(found) if len(kept) < rows}
    if short:
        raise ValueError(f'`prelude`: the bank needs {rows} correctly classified training samples of each class, there '
                         f'are fewer in {len(short)} classes: {dict(list(short.items())[:5])}; set model.teacher.rows')
    return torch.stack([torch.stack(kept) for kept in found])
