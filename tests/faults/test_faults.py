"""What goes wrong while a run is on: it stops or goes on as docs/reliability.md says, with one clear message."""

import errno
import itertools
import os
import resource
import signal
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import torch
from mmengine.registry import DATASETS

from skd_mm.checkpoint import CheckpointError, read_checkpoint
from skd_mm.datasets.seeded import DataError
from skd_mm.engine import PhaseLoop
from skd_mm.engine.optimizers import phase_optimization
from skd_mm.features import FeatureCache
from tests.distillers.test_discriminators import BANK, SPOT
from tests.helpers import ToySegDataset, config, differing, last_checkpoint, network, train, train_killed

LENGTH = dict(type='Stagewise', phase_iters=4, val_interval=2)


@pytest.fixture
def said(monkeypatch):
    """What is logged from warnings on, by MMEngine's logger, whatever its handlers."""
    from mmengine.logging import MMLogger
    lines = []
    handle = MMLogger.callHandlers

    def note(self, record):
        if record.levelname in ('WARNING', 'ERROR'):
            lines.append(record.getMessage())
        handle(self, record)

    monkeypatch.setattr(MMLogger, 'callHandlers', note)
    return lines


def one_like(lines, *words):
    """The one line that has all the words."""
    found = [line for line in lines if all(word in line for word in words)]
    assert len(found) == 1, lines
    return found[0]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


def replace(path):
    torch.save(dict(state_dict=read_checkpoint(path)['state_dict']), path)


# Checkpoints

@pytest.mark.parametrize('damage', [truncate, flip, replace])
def test_behind_a_damaged_checkpoint_a_run_ends_in_the_same_weights(tmp_path, said, damage):
    expected = train(config(tmp_path / 'whole', schedule=LENGTH))
    cfg = config(tmp_path / 'run', schedule=LENGTH)
    train_killed(cfg, 'before_train_iter', 12)
    damage(tmp_path / 'run/iter_10.pth')
    found = train(cfg, resume=True)
    assert 'resuming from iter_8.pth, the one before it' in one_like(said, 'iter_10.pth')
    assert not differing(dict(expected.model.state_dict()), dict(found.model.state_dict()))


def test_where_all_checkpoints_are_damaged_nothing_is_trained_or_removed(tmp_path):
    cfg = config(tmp_path, schedule=LENGTH)
    train_killed(cfg, 'before_train_iter', 12)
    for path in tmp_path.glob('iter_*.pth'):
        truncate(path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob('*.pth')}
    with pytest.raises(CheckpointError, match=r'no checkpoint in .* can be resumed from: .*iter_10\.pth.*iter_8\.pth'):
        train(cfg, resume=True)
    assert {path.name: path.read_bytes() for path in tmp_path.glob('*.pth')} == before


def test_a_best_checkpoint_that_is_damaged_ends_the_run_where_it_is_handed_over(tmp_path, said):
    cfg = config(tmp_path, schedule=LENGTH)
    train_killed(cfg, 'before_train_iter', 4)
    for path in tmp_path.glob('best*'):
        truncate(path)
    cfg.schedule.val_interval = 4
    before = read_checkpoint(tmp_path / 'iter_2.pth')
    # That of iteration 2 stays the best of its phase.
    before['best']['backbone.layers.0']['score'] = -1.
    torch.save(before, tmp_path / 'iter_2.pth')
    with pytest.raises(CheckpointError, match=r'best_spot_loss_phase00.*damaged'):
        train(cfg, resume=True)
    one_like(said, 'phase 1/4 backbone.layers.0', 'CheckpointError', 'the last checkpoint is iter_4.pth')


def test_a_file_that_the_user_names_and_that_is_damaged_is_refused(tmp_path):
    cfg = config(tmp_path, schedule=LENGTH)
    train_killed(cfg, 'before_train_iter', 6)
    truncate(tmp_path / 'iter_4.pth')
    cfg.load_from = str(tmp_path / 'iter_4.pth')
    for resume in (True, False):
        with pytest.raises(CheckpointError, match=r'iter_4\.pth cannot be read'):
            train(cfg, resume=resume)


# Disks

def full_disk(monkeypatch, name):
    """No space is left from the moment that a file of this name is written; half of it gets there."""
    from mmengine.fileio import LocalBackend
    put = LocalBackend.put

    def no_space(self, content, filepath):
        if name in str(filepath):
            put(self, content[:len(content) // 2], filepath)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(filepath))
        put(self, content, filepath)

    monkeypatch.setattr(LocalBackend, 'put', no_space)


@pytest.mark.parametrize('name', ['iter_6.pth', 'best_spot_loss_phase01'])
def test_a_full_disk_ends_the_run_and_leaves_the_last_checkpoint(tmp_path, monkeypatch, said, name):
    cfg = config(tmp_path / 'run', schedule=LENGTH)
    with monkeypatch.context() as patch:
        full_disk(patch, name)
        with pytest.raises(OSError, match=rf'the checkpoint {name}.* could not be written.*No space left on device'):
            train(cfg)
    one_like(said, 'phase 2/4', 'OSError', 'the last checkpoint is iter_4.pth')
    assert not list((tmp_path / 'run').glob('.*unfinished'))
    assert [read_checkpoint(path)['meta']['iter'] for path in sorted((tmp_path / 'run').glob('iter*'))] == [2, 4]
    found = train(cfg, resume=True)  # now that there is space again
    expected = train(config(tmp_path / 'whole', schedule=LENGTH))
    assert not differing(dict(expected.model.state_dict()), dict(found.model.state_dict()))


def test_a_pointer_that_cannot_be_written_is_named(tmp_path, monkeypatch, said):
    write = Path.write_text

    def no_space(self, text, *args, **kwargs):
        if 'last_checkpoint' in self.name:
            write(self, text[:3])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        return write(self, text, *args, **kwargs)

    cfg = config(tmp_path, schedule=LENGTH)
    train_killed(cfg, 'before_train_iter', 4)
    with monkeypatch.context() as patch:
        patch.setattr(Path, 'write_text', no_space)
        with pytest.raises(OSError, match=r'last_checkpoint could not be written .*No space left on device'):
            train(cfg, resume=True)
    assert last_checkpoint(tmp_path)['meta']['iter'] == 2 and not list(tmp_path.glob('.*unfinished'))


def test_a_file_system_that_refuses_in_earnest(tmp_path, monkeypatch):
    cfg = config(tmp_path, schedule=LENGTH)
    train_killed(cfg, 'before_train_iter', 6)
    sizes = [path.stat().st_size for path in tmp_path.glob('iter*')]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (min(sizes) // 2, limits[1]))
        with pytest.raises(OSError, match=r'could not be written.*File too large'):
            train(cfg, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert last_checkpoint(tmp_path)['meta']['iter'] == 4
    assert not list(tmp_path.glob('.*unfinished'))


@pytest.mark.parametrize('place', ['/proc/skd_mm', '{tmp_path}/file/run'])
def test_a_work_directory_that_cannot_be_written_to(tmp_path, repo, place):
    (tmp_path / 'file').write_text('')
    work_dir = place.format(tmp_path=tmp_path)
    config(tmp_path, custom_imports=dict(imports=['tests.helpers'])).dump(str(tmp_path / 'toy.py'))
    done = subprocess.run([sys.executable, 'tools/train.py', str(tmp_path / 'toy.py'), '--work-dir', work_dir],
                          cwd=repo, env=dict(os.environ, PYTHONPATH=str(repo)), capture_output=True, text=True)
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith(f'train: the work directory {work_dir} cannot be written to: ')
    assert 'Traceback' not in done.stderr and 'System environment' not in done.stdout


# Numbers

@DATASETS.register_module(force=True)
class PoisonedDataset(ToySegDataset):
    """From the n-th read on, one pixel is no number; of the given number of images."""

    def __init__(self, good=5, value=float('nan'), bad=10**6, **kwargs):
        self.good, self.value, self.bad = good, value, bad
        super().__init__(**kwargs)

    def prepare_data(self, index):
        sample = super().prepare_data(index)
        self.good -= 1
        sample['inputs'] = sample['inputs'].float()
        if -self.bad <= self.good < 0:
            sample['inputs'][0, 0, 0] = self.value
        return sample


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize(('schedule', 'loss'), [
    (LENGTH, r'spots\.backbone\.layers\.0\.loss is nan$'),
    (dict(type='NoTeacher', phase_iters=4, val_interval=1), r'decode\.loss_ce is nan$')])
def test_a_loss_that_is_not_finite_ends_the_run_before_anything_learns_from_it(tmp_path, said, value, schedule, loss):
    cfg = config(tmp_path, {'train_dataloader.dataset.type': 'mmengine.PoisonedDataset',
                            'train_dataloader.dataset.good': 11, 'train_dataloader.dataset.value': value},
                 schedule=dict(schedule, val_interval=1))
    states = []

    def note(self, *args, **kwargs):
        states.append({name: tensor.clone() for name, tensor in self.runner.model.state_dict().items()})
        return step(self, *args, **kwargs)

    step = PhaseLoop.run_iter
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PhaseLoop, 'run_iter', note)
        where = r'^phase 1/\d \S+, iteration 3 of 4: '
        with pytest.raises(FloatingPointError, match=f'{where}the loss is not finite: {loss}'):
            train(cfg)
    one_like(said, 'iteration 3 of 4', 'FloatingPointError', 'the last checkpoint is iter_2.pth')
    parameters = {name: value for name, value in last_checkpoint(tmp_path)['state_dict'].items()
                  if 'running' not in name and 'batches' not in name}
    assert not differing(parameters, {name: states[-1][name] for name in parameters})


def test_half_precision_whose_scaled_gradients_overflow_goes_on(tmp_path):
    schedule = dict(type='Phases', phase_iters=6, phases=[dict(name='all', train='all', task=8)])
    cfg = config(tmp_path, schedule=schedule, param_scheduler=[],
                 optim_wrapper=dict(type='mmengine.ScaledOptimWrapper', optimizer=dict(type='SGD', lr=0.1)))
    runner = train(cfg)
    assert runner.optim_wrapper.loss_scaler.get_scale() < 2.**127  # it has skipped steps, and lowered the scale
    assert all(torch.isfinite(value).all() for value in runner.model.state_dict().values())


# Data

@DATASETS.register_module(force=True)
class FailingDataset(ToySegDataset):
    """The n-th image is not there any more, is damaged, or takes its worker with it."""

    def __init__(self, bad=7, how='missing', **kwargs):
        self.bad, self.how = bad, how
        super().__init__(**kwargs)

    def prepare_data(self, index):
        if index == self.bad:
            if self.how == 'missing':
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), 'images/007.png')
            if self.how == 'killed':
                os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError('failed to load image: images/007.png')
        return super().prepare_data(index)


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize(('how', 'words'), [('missing', 'FileNotFoundError: .*No such file'),
                                            ('corrupt', 'failed to load image')])
def test_a_file_that_cannot_be_read_ends_the_run_and_is_named(tmp_path, said, workers, how, words):
    cfg = config(tmp_path, {'train_dataloader.dataset.type': 'mmengine.FailingDataset',
                            'train_dataloader.dataset.how': how}, workers=workers,
                 schedule=dict(type='NoTeacher', phase_epochs=2))
    with pytest.raises(DataError, match=rf'training sample 7 \(images/007\.png\) cannot be read: .*{words}'):
        train(cfg)
    one_like(said, 'phase 1/1 no_teacher', 'DataError', 'there is no checkpoint yet')


@pytest.mark.parametrize('workers', [0, 1])
def test_a_file_of_the_validation_too(tmp_path, said, workers):
    changes = {'val_dataloader.dataset.type': 'mmengine.FailingDataset', 'val_dataloader.dataset.bad': 2,
               'val_dataloader.dataset.how': 'corrupt', 'val_dataloader.num_workers': workers}
    with pytest.raises(DataError, match=r'validation sample 2 \(images/502\.png\) cannot be read: .*failed to load'):
        train(config(tmp_path, changes, schedule=LENGTH))
    one_like(said, 'phase 1/4', 'DataError', 'there is no checkpoint yet')


def test_a_worker_that_is_killed_ends_the_run(tmp_path, said):
    cfg = config(tmp_path, {'train_dataloader.dataset.type': 'mmengine.FailingDataset',
                            'train_dataloader.dataset.how': 'killed'}, workers=1,
                 schedule=dict(type='NoTeacher', phase_epochs=2))
    with pytest.raises(RuntimeError, match=r'DataLoader worker \(pid.*(killed by signal|exited unexpectedly)'):
        train(cfg)
    one_like(said, 'phase 1/1 no_teacher', 'RuntimeError')


# Memory

def test_where_memory_ends_the_cache_takes_no_more_and_the_run_goes_on(tmp_path, monkeypatch, said):
    schedule = dict(type='Stagewise', phase_epochs=2, cache=1)
    expected = train(config(tmp_path / 'whole', schedule=schedule))
    calls = []

    def clone(self, *args, **kwargs):
        if len(calls) > 20 and any(frame.name == 'put' for frame in traceback.extract_stack(limit=8)):
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")
        calls.append(1)
        return torch.clone(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, 'clone', clone)
    found = train(config(tmp_path / 'run', schedule=schedule))
    assert any('the feature cache has given back' in line for line in said)
    assert not differing(dict(expected.model.state_dict()), dict(found.model.state_dict()))


def test_the_cache_gives_back_what_the_step_needs(monkeypatch):
    cache = FeatureCache(2**30)
    for first in range(0, 20, 2):
        cache.put([first, first + 1], dict(a=torch.zeros(2, 100)))

    class Full(torch.Tensor):

        def clone(self, *args, **kwargs):
            raise torch.OutOfMemoryError('CUDA out of memory')

    cache.put(range(20, 22), dict(a=torch.zeros(2, 100).as_subclass(Full)))
    assert cache.full and cache.bytes == 18 * 400
    assert cache.get([17]) is not None and cache.get([18]) is None
    with pytest.raises(RuntimeError, match='something else'):
        class Broken(torch.Tensor):

            def clone(self, *args, **kwargs):
                raise RuntimeError('something else')

        FeatureCache(2**30).put([0], dict(a=torch.zeros(1, 100).as_subclass(Broken)))



SCALED = dict(type='mmengine.ScaledOptimWrapper', optimizer=dict(type='SGD', lr=0.1), init_scale=1.)
ADVERSARIAL = dict(
    model=dict(type='skd_mm.Distiller', student=network(), teacher=BANK, spots=[SPOT]),
    schedule=dict(type='Phases', phase_iters=5, phases=[
        dict(name='lwkd', train='all', task=0.1, spots={'logits': 0.9, 'logits.discriminator': 0.1})]))


@pytest.mark.parametrize('kind', ['simultaneous', 'adversarial'])
def test_half_precision_whose_loss_overflows_skips_the_step(tmp_path, said, kind, monkeypatch):
    """Also that of a discriminator."""
    changes = ADVERSARIAL if kind == 'adversarial' else dict(schedule=dict(type='Simultaneous', phase_iters=5))
    cfg = config(tmp_path, {'train_dataloader.dataset.type': 'mmengine.PoisonedDataset',
                            'train_dataloader.dataset.good': 11, 'train_dataloader.dataset.bad': 1},
                 optim_wrapper=SCALED, param_scheduler=[], **changes)
    states, step = [], PhaseLoop.run_iter

    def record(self, *args, **kwargs):
        step(self, *args, **kwargs)
        states.append({name: value.detach().clone() for name, value in self.distiller.named_parameters()})

    monkeypatch.setattr(PhaseLoop, 'run_iter', record)
    train(cfg)
    changed = [{name.split('.')[0] for name in differing(one, other)} for one, other in itertools.pairwise(states)]
    parts = {'student', 'spots'} if kind == 'adversarial' else {'student'}
    assert changed == [parts, set(), parts, parts]
    one_like(said, 'the loss is not finite: ', 'spots.', '.loss is nan', 'the optimizer skips this step')


def test_half_precision_whose_loss_always_overflows_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(phase_optimization, 'PATIENCE', 2)
    cfg = config(tmp_path, {'train_dataloader.dataset.type': 'mmengine.PoisonedDataset',
                            'train_dataloader.dataset.good': 7}, optim_wrapper=SCALED, param_scheduler=[],
                 schedule=dict(type='Simultaneous', phase_iters=9))
    with pytest.raises(FloatingPointError, match=r'iteration 4 of 9: the loss is not finite: .*, 3 times in a row'):
        train(cfg)
