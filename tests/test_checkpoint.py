"""Checkpoint files: whole or not at all, and nothing in them is run."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner, checkpoint, load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader, _load_checkpoint

from skd_mm.checkpoint import TRUST, CheckpointError, read_checkpoint
from skd_mm.distillers import load_weights
from tests.helpers import config, train, train_killed


class Evil:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (Path(self.mark), )


@pytest.fixture
def evil(tmp_path):
    """A checkpoint that runs code, and the mark that it would leave."""
    mark = tmp_path / 'was here'
    torch.save(dict(state_dict=dict(weight=torch.zeros(1, 1), bias=torch.zeros(1)), meta=Evil(mark)),
               tmp_path / 'evil.pth')
    return tmp_path / 'evil.pth', mark


def damaged(path, how):
    """Damages a file."""
    content = bytearray(path.read_bytes())
    if how == 'one bit':
        content[len(content) // 2] ^= 1
    elif how == 'text':
        content = b'hello world'
    elif how == 'noise':
        content = os.urandom(1000)
    else:
        content = content[:int(len(content) * how)]
    path.write_bytes(content)


@pytest.mark.parametrize('how', [0, 0.001, 0.5, 0.999, 'one bit', 'text', 'noise'])
def test_damage_is_found(tmp_path, how):
    path = tmp_path / 'a.pth'
    torch.save(dict(weights=torch.arange(10000.), meta=dict(iter=3)), path)
    assert read_checkpoint(path)['weights'][-1] == 9999
    damaged(path, how)
    with pytest.raises(CheckpointError, match=r'a\.pth (is damaged|cannot be read, it is damaged or no checkpoint)'):
        read_checkpoint(path)


def test_an_open_file_is_read_too(tmp_path):
    torch.save(dict(a=1), tmp_path / 'a.pth')
    with open(tmp_path / 'a.pth', 'rb') as file:
        assert read_checkpoint(file) == dict(a=1)


def test_tensors_go_where_they_are_wanted(tmp_path):
    torch.save(dict(a=torch.ones(2)), tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth', 'meta')['a'].is_meta


def test_memory_that_ends_is_no_damage(tmp_path, monkeypatch):
    torch.save(dict(a=1), tmp_path / 'a.pth')

    def full(*args, **kwargs):
        raise torch.OutOfMemoryError('CUDA out of memory')

    monkeypatch.setattr(torch, 'load', full)
    with pytest.raises(torch.OutOfMemoryError):
        read_checkpoint(tmp_path / 'a.pth')


def test_a_file_of_old_torch_is_read_too(tmp_path):
    torch.save(dict(a=torch.ones(2)), tmp_path / 'a.pth', _use_new_zipfile_serialization=False)
    assert read_checkpoint(tmp_path / 'a.pth')['a'].sum() == 2


def test_what_is_not_there_is_said_to_be_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / 'a.pth')
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint '.*a\.pth'"):
        _load_checkpoint(str(tmp_path / 'a.pth'))


def loads(path):
    """Every way in which this toolkit and MMEngine read a file on its behalf."""
    network = torch.nn.Linear(1, 1)
    return dict(
        directly=lambda: read_checkpoint(path),
        mmengine=lambda: load_checkpoint(network, str(path)),
        elsewhere=lambda: getattr(checkpoint, '_safe_torch_load', read_checkpoint)(path),  # s3:// and the like
        loader=lambda: CheckpointLoader.load_checkpoint(str(path)),
        opened=lambda: read_checkpoint(open(path, 'rb')),
        teacher=lambda: load_weights(network, str(path), 'teacher'))


@pytest.mark.parametrize('way', loads(None))
def test_code_in_a_checkpoint_is_not_run(evil, way):
    path, mark = evil
    with pytest.raises(CheckpointError, match=rf'holds more than weights .*pathlib.*set {TRUST}=1'):
        loads(path)[way]()
    assert not mark.exists()


@pytest.mark.parametrize('way', loads(None))
def test_unless_the_user_says_so(evil, monkeypatch, way):
    path, mark = evil
    monkeypatch.setenv(TRUST, '1')
    loads(path)[way]()
    assert mark.exists()


def test_a_url_is_read_in_the_same_way(evil, monkeypatch, tmp_path):
    path, mark = evil
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'hub'))
    folder = tmp_path / 'hub/hub/checkpoints'
    folder.mkdir(parents=True)
    (folder / 'evil.pth').write_bytes(path.read_bytes())
    with pytest.raises(pickle.UnpicklingError, match='Weights only load failed'):
        _load_checkpoint('https://example.com/evil.pth')
    assert not mark.exists()
    monkeypatch.setenv(TRUST, '1')
    _load_checkpoint('https://example.com/evil.pth')
    assert mark.exists()


@pytest.mark.parametrize('resume', [False, True])
def test_the_config_in_a_checkpoint_is_not_run(tmp_path, monkeypatch, resume):
    cfg = config(tmp_path / 'a', schedule=dict(type='NoTeacher', phase_iters=3), default_hooks={})
    train_killed(cfg, 'after_train')
    path = tmp_path / 'a/iter_3.pth'
    loaded = read_checkpoint(path)
    loaded['meta']['config'] = f"__import__('pathlib').Path({str(tmp_path / 'was here')!r}).touch()"
    torch.save(loaded, path)
    ran = []
    monkeypatch.setattr(Config, 'fromstring', lambda *args, **kwargs: ran.append(args))
    cfg.work_dir, cfg.load_from = str(tmp_path / 'b'), str(path)
    train(cfg, resume)
    assert not ran


def test_what_a_run_writes_holds_nothing_else(tmp_path):
    cfg = config(tmp_path, schedule=dict(type='Stagewise', phase_iters=2), custom_hooks=[dict(type='EMAHook')],
                 optim_wrapper=dict(type='skd_mm.AmpOptimWrapper', optimizer=dict(type='Adam')))
    train(cfg)
    files = list(tmp_path.glob('*.pth'))
    assert len(files) == 4 + 2  # the best of each phase, and the newest two
    for path in files:
        torch.load(path, weights_only=True)


def test_loading_is_patched_once():
    from skd_mm import compat
    before = Runner.load_checkpoint
    compat.patch_checkpoint_loading()
    assert Runner.load_checkpoint is before
