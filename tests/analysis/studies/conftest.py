"""A study on toy networks and toy data, and tools that only pretend to train."""

from types import SimpleNamespace

import pytest
import torch

from skd_mm.analysis.studies import execution, read_study
from skd_mm.analysis.studies.plan import Task
from tests.helpers import config, network

# Writes what a training leaves: a log, a checkpoint and a pointer to it. A file `fail` makes it fail once.
TRAIN = """
import json, os, sys, time
from pathlib import Path
args = sys.argv[1:]
folder = Path(args[args.index('--work-dir') + 1]) if '--work-dir' in args else Path()
with open(folder.parent / 'calls', 'a') as file:
    file.write(f'train {" ".join(args[1:])}\\n')
if (folder.parent / 'fail').exists():
    (folder.parent / 'fail').unlink()
    sys.exit('the GPU is on fire')
print('training')
(folder / 'now/vis_data').mkdir(parents=True, exist_ok=True)
line = dict(step=5, iter=5, loss=1.0, memory=70, time=.1)
(folder / 'now/vis_data/scalars.json').write_text(json.dumps(line) + '\\n')
(folder / 'last_checkpoint').write_text('/somewhere/else/iter_5.pth')
for name in ('iter_5.pth', 'best_score_phase00_a.pth'):
    (folder / name).write_bytes((Path(__file__).parent / name).read_bytes())
while (folder.parent / 'wait').exists():
    time.sleep(0.05)
"""
TEST = """
import json, sys
from pathlib import Path
args = sys.argv[1:]
folder = Path(args[args.index('--work-dir') + 1])
with open(folder.parent / 'calls', 'a') as file:
    file.write(f'test {Path(args[1]).name} {" ".join(args[4:])}\\n')
(folder / 'now').mkdir(parents=True)
(folder / 'now/now.json').write_text(json.dumps(dict(
    score=1.23456789 if 'best' in args[1] else 1.0, time=1.0, class_score=dict(cat=1.0, dog=None))))
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Stubs of ``tools/train.py`` and ``tools/test.py``; they import nothing, so they take no time."""
    folder = tmp_path / 'tools'
    folder.mkdir()
    (folder / 'train.py').write_text(TRAIN)
    (folder / 'test.py').write_text(TEST)
    best = dict(a=dict(file='best_score_phase00_a.pth'))
    torch.save(dict(state_dict=dict(w=torch.ones(2)), schedule=dict(phases=['a']), best=best), folder / 'iter_5.pth')
    torch.save(dict(state_dict=dict(w=torch.zeros(2))), folder / 'best_score_phase00_a.pth')
    monkeypatch.setattr(execution, 'tools_folder', lambda: folder)
    return folder


@pytest.fixture
def task():
    """Makes a task that no config is needed for."""

    def make(folder, kind='run', needs=(), **values):
        from mmengine.config import Config
        values = dict(dict(seed=0, digest='d', report='r'), **values)
        return Task(kind, folder, folder, Config(dict(model=dict())), needs=list(needs), **values)

    return make


@pytest.fixture
def toy(tmp_path):
    """Writes configs of a teacher, a student without one and two distillations, and studies of them."""
    skd = config(tmp_path, model=dict(
        type='skd_mm.Distiller', student=dict(cfg=str(tmp_path / 'student.py')),
        teacher=dict(cfg=str(tmp_path / 'teacher.py'), checkpoint='work_dirs/nowhere/best_*.pth'),
        spots=['backbone.layers.0', 'backbone.layers.1']), custom_imports=dict(imports=['tests.helpers']))
    skd.test_dataloader, skd.test_evaluator, skd.test_cfg = skd.val_dataloader, skd.val_evaluator, skd.val_cfg
    skd.param_scheduler = dict(type='MultiStepLR', milestones=[1, 2], by_epoch=True)
    skd.schedule = dict(type='Stagewise', phase_epochs=4, val_interval=2)
    plain = {key: value for key, value in skd.to_dict().items() if key not in ('model', 'schedule')}

    def write(name, cfg):
        from mmengine.config import Config
        cfg = Config(cfg)
        cfg.dump(tmp_path / name)

    write('student.py', dict(plain, model=network()))
    write('teacher.py', dict(plain, model=network(), train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=3)))
    write('skd.py', skd.to_dict())
    none = dict(skd.to_dict(), schedule=dict(type='NoTeacher', phase_epochs=4, val_interval=2))
    none['model'] = dict(type='skd_mm.Distiller', student=dict(cfg=str(tmp_path / 'student.py')))
    write('none.py', none)
    write('simultaneous.py', dict(skd.to_dict(), schedule=dict(type='Simultaneous', phase_epochs=4, val_interval=2)))

    def method(name, cfg, **values):
        return dict(name=name, cfg=str(tmp_path / f'{cfg}.py'), **values)

    def study(**changes):
        values = dict(
            seeds=[0, 1], metric='mIoU', methods=[method('none', 'none'), method('SKD', 'skd')],
            teachers=[dict(name='big', cfg=str(tmp_path / 'teacher.py'))])
        values.update(changes)
        values = {key: value for key, value in values.items() if value is not None}
        (tmp_path / 'toy.py').write_text(f'helper = 1\nstudy = {values!r}\n')
        return tmp_path / 'toy.py'

    return SimpleNamespace(folder=tmp_path, study=study, method=method,
                           read=lambda **changes: read_study(study(**changes)))
