"""The run before the schedule: made once, used again, continued, refused; and its bank."""

import json
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub
from mmengine.registry import METRICS, DefaultScope
from mmengine.runner import Runner

from skd_mm.engine import prelude
from skd_mm.engine.prelude import collect_rows, run_prelude
from tests.helpers import Killed, differing, quick

PACK = [dict(type='mmpretrain.PackInputs')]


def loader(split, per_class, classes=2):
    return dict(batch_size=8, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=split == 'train'),
                dataset=dict(type='skd_mm.SyntheticDigits', num_classes=classes, split=split, per_class=per_class,
                             pipeline=PACK))


@METRICS.register_module(force=True)
class Countdown(BaseMetric):
    """Gets better with each epoch."""

    default_prefix = ''

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return {'loss': -MessageHub.get_current_instance().get_info('iter')}


@pytest.fixture
def plain(tmp_path):
    """An ordinary run on numbers of one digit, of a second; it learns to tell 0 from 1."""
    Config(dict(
        default_scope='mmpretrain',
        model=dict(type='ImageClassifier', backbone=dict(type='skd_mm.LeNet5'), neck=None,
                   head=dict(type='LinearClsHead', num_classes=2, in_channels=84)),
        data_preprocessor=dict(mean=[60.], std=[75.], to_rgb=False),
        train_dataloader=loader('train', 24), val_dataloader=loader('test', 8),
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=4, val_interval=10), val_cfg=dict(type='ValLoop'),
        val_evaluator=dict(type='Accuracy'),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=3e-3)),
        randomness=dict(seed=0), log_level='WARNING')).dump(str(tmp_path / 'plain.py'))
    return str(tmp_path / 'plain.py')


def config(plain, folder, rows=5, **settings):
    return Config(dict(
        work_dir=str(folder), default_scope='mmseg',
        prelude=dict(cfg=plain, **settings),
        model=dict(teacher=dict(type='skd_mm.TargetBank', num_classes=2, rows=rows, checkpoint='prelude/bank.pth'))))


@pytest.fixture
def runs(monkeypatch):
    """How often a run was trained."""
    trained = []
    train = Runner.train
    monkeypatch.setattr(Runner, 'train', lambda self: (trained.append(self.work_dir), train(self))[1])
    with quick():
        yield trained


def test_it_is_made_once_and_the_teacher_is_found(plain, tmp_path, runs):
    cfg = config(plain, tmp_path / 'a', min_accuracy={'accuracy/top1': 75})
    assert run_prelude(cfg) is cfg
    file = Path(cfg.model.teacher.checkpoint)
    assert file.parent.parent == tmp_path / 'a/prelude' and file.parent.name.startswith('plain-')
    saved = torch.load(file, weights_only=True)
    logits = saved['state_dict']['bank.logits']
    assert logits.shape == (2, 5, 2) and (logits.argmax(-1) == torch.tensor([[0], [1]])).all()
    facts = saved['meta']['prelude']
    assert facts['seed'] == 0 and facts['rows'] == 5 and facts['metrics']['accuracy/top1'] >= 75
    assert min(facts['seconds'], facts['cpu_seconds']) > 0
    assert set(facts['versions']) == {'skd_mm', 'torch', 'mmengine'}
    written = file.stat().st_mtime_ns
    again = run_prelude(config(plain, tmp_path / 'a', min_accuracy={'accuracy/top1': 75}))
    assert again.model.teacher.checkpoint == str(file) and file.stat().st_mtime_ns == written
    assert len(runs) == 1


def test_a_bank_that_is_gone_is_filled_again_by_the_same_teacher(plain, tmp_path, runs):
    file = Path(run_prelude(config(plain, tmp_path)).model.teacher.checkpoint)
    before = torch.load(file, weights_only=True)['state_dict']
    file.unlink()
    assert run_prelude(config(plain, tmp_path)).model.teacher.checkpoint == str(file)
    assert not differing(before, torch.load(file, weights_only=True)['state_dict'])


def test_it_leaves_no_trace_in_this_process(plain, tmp_path, runs):
    scope = DefaultScope.get_instance('here', scope_name='mmseg')
    run_prelude(config(plain, tmp_path))
    assert DefaultScope.get_current_instance() is scope


def test_a_folder_of_several_runs(plain, tmp_path, runs):
    shared = dict(dir=str(tmp_path / 'shared'))
    one = run_prelude(config(plain, tmp_path / 'a', **shared)).model.teacher.checkpoint
    assert run_prelude(config(plain, tmp_path / 'b', **shared)).model.teacher.checkpoint == one
    other = run_prelude(config(plain, tmp_path / 'a', options={'optim_wrapper.optimizer.lr': 2e-3}, **shared))
    assert other.model.teacher.checkpoint != one and Path(one).is_file() and len(runs) == 2


def test_other_rows_are_taken_from_the_same_run(plain, tmp_path, runs):
    file = run_prelude(config(plain, tmp_path)).model.teacher.checkpoint
    few = torch.load(file, weights_only=True)
    assert run_prelude(config(plain, tmp_path, rows=7)).model.teacher.checkpoint == file
    many = torch.load(file, weights_only=True)
    few_rows, many_rows = (bank['state_dict']['bank.logits'] for bank in (few, many))
    assert many_rows.shape == (2, 7, 2) and torch.equal(many_rows[:, :5], few_rows) and len(runs) == 1
    assert many['meta']['prelude']['seconds'] == few['meta']['prelude']['seconds'] > 0


@pytest.mark.parametrize('where', ['training', 'bank', 'end'])
def test_it_goes_on_where_it_was_cut_off(plain, tmp_path, runs, monkeypatch, where):
    whole = torch.load(run_prelude(config(plain, tmp_path / 'whole')).model.teacher.checkpoint, weights_only=True)
    cut = dict(training=(Runner, 'val'), bank=(prelude, 'collect_rows'), end=(prelude, 'atomic_replace'))[where]

    def die(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(*cut, die)
        with pytest.raises(Killed):
            run_prelude(config(plain, tmp_path / 'cut'))
    file = run_prelude(config(plain, tmp_path / 'cut')).model.teacher.checkpoint
    bank = torch.load(file, weights_only=True)
    assert torch.equal(bank['state_dict']['bank.logits'], whole['state_dict']['bank.logits'])
    # The seconds of one part are not told as if they were all.
    assert [bank['meta']['prelude'][key] for key in ('seconds', 'cpu_seconds')] == [None, None]


def test_it_goes_on_when_it_was_cut_off_while_it_wrote_a_checkpoint(plain, tmp_path, runs, monkeypatch):
    """An epoch writes its state, after the validation its best state, and its state again with that record."""

    def best(name):
        MessageHub._instance_dict.clear()  # it would be another process
        cfg = config(plain, tmp_path / name, options={
            'default_hooks': dict(checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=1,
                                                  save_best='loss', rule='less')),
            'val_evaluator': dict(type='mmengine.Countdown'), 'train_cfg.val_interval': 1, 'train_cfg.max_epochs': 2})
        cfg.model.teacher = dict(cfg=plain, checkpoint='prelude/best_*.pth')
        file, = Path(run_prelude(cfg).model.teacher.checkpoint).parent.glob('best_*.pth')
        return torch.load(file, weights_only=True)['state_dict'], file.name

    def save(self, out_dir, filename, *args, **kwargs):
        written.append(filename)
        if len(written) == fatal:
            (Path(out_dir) / filename).write_bytes(b'half of it')
            raise Killed
        saved(self, out_dir, filename, *args, **kwargs)

    saved, written, fatal = Runner.save_checkpoint, [], 0
    monkeypatch.setattr(Runner, 'save_checkpoint', save)
    whole, last = best('whole')
    assert written == ['epoch_1.pth', 'best_loss_epoch_1.pth', 'epoch_1.pth',
                       'epoch_2.pth', 'best_loss_epoch_2.pth', 'epoch_2.pth']
    for fatal, states in ((2, 1), (3, 4), (4, 2), (5, 2)):  # the third would have been written over the first
        written.clear()
        with pytest.raises(Killed):
            best(f'cut{fatal}')
        weights, name = best(f'cut{fatal}')
        assert name == last and all(torch.equal(weights[key], value) for key, value in whole.items())
        assert written.count('epoch_1.pth') == states


def test_a_checkpoint_that_the_run_does_not_write(plain, tmp_path, runs):
    cfg = config(plain, tmp_path)
    cfg.model.teacher = dict(cfg=plain, checkpoint='prelude/epoch4.pth')
    with pytest.raises(FileNotFoundError, match=r"written no 'epoch4.pth'; did you mean 'epoch_4.pth'"):
        run_prelude(cfg)


def test_a_teacher_below_min_accuracy_is_refused_each_time(plain, tmp_path, runs):
    for _ in range(2):
        with pytest.raises(ValueError, match=r'reaches accuracy/top1 = [\d.]+ and must reach 101.*run is in'):
            run_prelude(config(plain, tmp_path, min_accuracy={'accuracy/top1': 101}))
    run_prelude(config(plain, tmp_path))
    with pytest.raises(ValueError, match='must reach 101'):
        run_prelude(config(plain, tmp_path, min_accuracy={'accuracy/top1': 101}))


def test_a_checkpoint_of_the_run_itself(plain, tmp_path, runs):
    cfg = config(plain, tmp_path)
    cfg.model.teacher = dict(cfg=plain, checkpoint='prelude/epoch_*.pth')
    file = Path(run_prelude(cfg).model.teacher.checkpoint)
    assert file.name == 'epoch_*.pth' and list(file.parent.glob(file.name))
    assert not list(file.parent.glob('bank*'))


def test_without_a_prelude_nothing_happens(tmp_path):
    for none in (None, {}):
        cfg = Config(dict(work_dir=str(tmp_path / 'x'), prelude=none, model=dict(teacher=None)))
        assert run_prelude(cfg) is cfg and not (tmp_path / 'x').exists()


@pytest.mark.parametrize(('launcher', 'variable'), [
    ('pytorch', 'RANK'), ('slurm', 'SLURM_PROCID'), ('mpi', 'OMPI_COMM_WORLD_RANK')])
def test_other_processes_wait(plain, tmp_path, runs, monkeypatch, launcher, variable):
    """They train nothing, and continue as soon as all is there."""
    cfg = config(plain, tmp_path)
    cfg.launcher = launcher
    waited, sleep = [], time.sleep

    def finish(seconds):
        if seconds < 1:  # somebody else's
            return sleep(seconds)
        waited.append(seconds)
        monkeypatch.setenv(variable, '0')
        run_prelude(config(plain, tmp_path))

    monkeypatch.setenv(variable, '1')
    monkeypatch.setattr(time, 'sleep', finish)
    run_prelude(cfg)
    assert len(waited) == 1 and len(runs) == 1 and Path(cfg.model.teacher.checkpoint).is_file()


@pytest.mark.parametrize(('change', 'error', 'words'), [
    (dict(prelude=dict(cgf='x')), KeyError, "no key 'cgf'; did you mean 'cfg'"),
    (dict(prelude=dict(min_accuracy={}, _delete_=True)), KeyError, 'needs `cfg`'),
    (dict(prelude=dict(cfg='configs/teachers/lenet5_1xb128-20e_digits101.py')), FileNotFoundError,
     "did you mean 'lenet5_1xb128-20e_digits1"),
    (dict(prelude=dict(min_accuracy={'accuracy/top2': 1})), ValueError,
     "'accuracy/top2' is not among.*mean 'accuracy/top1'"),
    (dict(model=dict(teacher=dict(checkpoint='bank.pth'))), ValueError, "begin with 'prelude/', not be 'bank.pth'"),
    (dict(model=dict(teacher=dict(num_classes=3))), ValueError, 'has 2 classes, .* num_classes=3'),
    (dict(model=dict(teacher=dict(num_classes=1))), ValueError, 'num_classes.* at least 2, not 1'),
    (dict(model=dict(teacher=dict(rows=25))), ValueError, 'needs 25 correctly classified .* fewer in 2 classes'),
])
def test_what_makes_no_sense_is_refused(plain, tmp_path, runs, change, error, words):
    cfg = config(plain, tmp_path)
    cfg = Config(Config._merge_a_into_b(change, cfg._cfg_dict))
    with pytest.raises(error, match=words):
        run_prelude(cfg)
    late = "'rows': 25" in str(change) or 'top2' in str(change)
    assert len(runs) == late


def test_rows_are_those_that_are_classified_correctly():
    class Model(torch.nn.Module):
        def data_preprocessor(self, batch, training):
            return dict(inputs=torch.stack(batch['inputs']), data_samples=batch['data_samples'])

        def forward(self, inputs, data_samples, mode):
            return inputs

    from mmengine.dataset import pseudo_collate
    from mmpretrain.structures import DataSample
    data = [([3., 1.], 0), ([1., 2.], 0), ([5., 1.], 0), ([0., 1.], 1), ([2., 1.], 1), ([0., 4.], 1), ([9., 0.], 0)]

    class Loader:
        dataset = [dict(inputs=torch.tensor(row), data_samples=DataSample().set_gt_label(k)) for row, k in data]
        collate_fn = staticmethod(pseudo_collate)

    rows = collect_rows(Model(), Loader, 2, 2)
    assert rows.tolist() == [[[3, 1], [5, 1]], [[0, 1], [0, 4]]]
    with pytest.raises(ValueError, match=r'needs 3 .* fewer in 1 classes: \{1: 2\}; set model.teacher.rows'):
        collect_rows(Model(), Loader, 2, 3)
    with pytest.raises(ValueError, match=r'its network has 2 classes, model\.teacher num_classes=3'):
        collect_rows(Model(), Loader, 3, 1)


def test_what_it_measured_stands_beside_it(plain, tmp_path, runs):
    folder = Path(run_prelude(config(plain, tmp_path)).model.teacher.checkpoint).parent
    facts = json.loads((folder / 'done.json').read_text())
    assert facts['config'] == folder.name and folder.name.endswith(facts['digest'])
