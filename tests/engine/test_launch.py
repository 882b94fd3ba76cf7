"""What is checked before a run, and what it resumes from."""

import logging

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger

from skd_mm.engine.launch import build_runner, check_run, set_resume
from tests.helpers import config


@pytest.fixture(autouse=True)
def not_restarted(monkeypatch):
    for name in ('TORCHELASTIC_RESTART_COUNT', 'SLURM_RESTART_COUNT'):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def resumed(tmp_path):
    """Gives ``(resume, load_from)`` as names of files; ``has`` says whether the work directory has a checkpoint."""

    def call(resume, has, load_from=None):
        (tmp_path / 'a.pth').touch()
        if has:
            (tmp_path / 'last_checkpoint').write_text('iter_3.pth')
        path = str(tmp_path / resume) if resume not in (None, 'auto') else resume
        cfg = Config(dict(work_dir=str(tmp_path), load_from=load_from, resume=False))
        set_resume(cfg, path)
        return cfg.resume, cfg.load_from and cfg.load_from.rpartition('/')[2]

    return call


@pytest.mark.parametrize(('resume', 'has', 'load_from', 'expected'), [
    (None, True, 'w.pth', (False, 'w.pth')),
    ('auto', True, None, (True, None)),
    ('auto', False, None, (True, None)),
    ('auto', True, 'w.pth', (True, None)),  # the weights that the run began with are of the past
    ('auto', False, 'w.pth', (False, 'w.pth')),  # and yet to be loaded if it has not begun
    ('a.pth', True, None, (True, 'a.pth')),
    ('a.pth', False, 'w.pth', (True, 'a.pth'))])
def test_a_run_started_by_hand(resumed, resume, has, load_from, expected):
    assert resumed(resume, has, load_from) == expected


@pytest.mark.parametrize('name', ['TORCHELASTIC_RESTART_COUNT', 'SLURM_RESTART_COUNT'])
@pytest.mark.parametrize(('count', 'resume', 'has', 'expected'), [
    ('0', None, True, (False, None)), ('', None, True, (False, None)), ('2', None, True, (True, None)),
    ('1', None, False, (True, None)),
    ('1', 'a.pth', True, (True, None)),  # its own checkpoints are newer
    ('1', 'a.pth', False, (True, 'a.pth'))])
def test_a_run_that_is_started_again(resumed, monkeypatch, name, count, resume, has, expected):
    monkeypatch.setenv(name, count)
    assert resumed(resume, has) == expected


def test_a_checkpoint_that_does_not_exist(resumed):
    message = r"--resume .*b\.pth: there is no such checkpoint; did you mean 'a\.pth'"
    with pytest.raises(FileNotFoundError, match=message):
        resumed('b.pth', True)


@pytest.mark.parametrize('fails', [False, True])
def test_a_check_leaves_the_log_files_of_others_open(tmp_path, fails):
    other = MMLogger.get_instance('other', log_file=str(tmp_path / 'other.log'))
    cfg = config(tmp_path, {'val_evaluator.type': 'NoMetric'} if fails else None)
    if fails:
        with pytest.raises(ValueError, match='NoMetric'):
            check_run(cfg)
    else:
        check_run(cfg)
    assert next(h for h in other.handlers if isinstance(h, logging.FileHandler)).stream is not None
    checked = MMLogger.get_current_instance()  # MMEngine's models write to its files, which are gone
    assert checked is not other
    assert not any(isinstance(handler, logging.FileHandler) for handler in checked.handlers)


def test_the_config_is_formatted_once(tmp_path, monkeypatch):
    texts = []
    monkeypatch.setattr(Config, 'pretty_text', property(lambda self: texts.append(repr(self._cfg_dict)) or texts[-1]))
    runner = build_runner(config(tmp_path))
    runner.call_hook('before_run')
    assert len(texts) == 1 and runner.cfg.pretty_text == texts[0]
