"""Configs as the tools read them."""

import sys

import pytest
from mmengine.config import Config
from torch.utils.data import DataLoader

from skd_mm.config import follow_schedule, load_config


def test_a_module_next_to_the_config_can_be_imported(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'path', [*sys.path])
    (tmp_path / 'module_next_to_its_config.py').write_text('VALUE = 1\n')
    (tmp_path / 'c.py').write_text("custom_imports = dict(imports=['module_next_to_its_config'])\nx = 1\n")
    assert load_config(str(tmp_path / 'c.py'), ['x=2']).x == 2
    assert sys.modules.pop('module_next_to_its_config').VALUE == 1
    # It comes last, so that no file of that folder hides an installed package.
    assert sys.path[-1] == str(tmp_path)


LOADERS = """
loader = dict(num_workers=2, persistent_workers=True, prefetch_factor=4)
train_dataloader, val_dataloader, test_dataloader = dict(loader), dict(loader), dict(loader)
"""


def test_a_loader_without_workers_has_no_settings_of_them(tmp_path):
    (tmp_path / 'c.py').write_text(LOADERS)
    splits = ('train', 'val', 'test')
    cfg = load_config(str(tmp_path / 'c.py'), [f'{split}_dataloader.num_workers=0' for split in splits])
    for split in splits:
        DataLoader([1], **cfg[f'{split}_dataloader'])  # PyTorch refuses them
    cfg = load_config(str(tmp_path / 'c.py'), ['test_dataloader.num_workers=0'])
    assert cfg.train_dataloader == cfg.val_dataloader == cfg.loader and cfg.loader.persistent_workers


@pytest.mark.parametrize(('loop', 'expected'), [
    (None, dict(type='skd_mm.PhaseLoop')),
    (dict(type='skd_mm.PhaseLoop', max_iters=3), dict(type='skd_mm.PhaseLoop', max_iters=3)),
    (dict(type='IterBasedTrainLoop', max_iters=3), dict(type='skd_mm.PhaseLoop', max_iters=3)),
    (dict(by_epoch=True, max_epochs=3), dict(type='skd_mm.PhaseLoop', max_epochs=3))])
def test_a_schedule_replaces_the_loop(loop, expected):
    cfg = Config(dict(schedule=dict(type='NoTeacher'), **({} if loop is None else dict(train_cfg=loop))))
    follow_schedule(cfg)
    assert cfg.train_cfg == expected


def test_without_a_schedule_the_loop_stays():
    cfg = Config(dict(train_cfg=dict(by_epoch=True, max_epochs=3)))
    follow_schedule(cfg)
    assert cfg.train_cfg == dict(by_epoch=True, max_epochs=3)
