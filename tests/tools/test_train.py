"""tools/train.py: what it looks at before anything is trained."""

import logging

import pytest
from mmengine.config import Config
from mmengine.logging import MessageHub

from skd_mm.engine.loops.phase_loop import PhaseLoop
from tests.helpers import SPOTS, Killed, config, differing, load, log_lines, network

MODEL = dict(type='skd_mm.Distiller', student=network(), teacher=network(6),
             spots=[dict(student=name, connector='auto') for name in SPOTS])


@pytest.fixture
def toy(tmp_path):
    """Writes the config of a toy run; gives its path."""

    def write(changes=None, **top):
        cfg = config(tmp_path / 'run', changes, **{'model': MODEL, **top})
        cfg.pop('work_dir')
        if cfg.model.type != 'skd_mm.Distiller':
            cfg.pop('schedule')
        cfg.dump(str(tmp_path / 'toy.py'))
        return tmp_path / 'toy.py'

    return write


@pytest.fixture
def train(run_tool, tmp_path, monkeypatch):
    """Calls the tool in an empty working directory; gives the message that it ends with."""
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    level = logging.getLogger('mmengine').level

    def call(*args):
        try:
            run_tool('train.py', *args)
        except SystemExit as end:
            return str(end)
        finally:
            logging.getLogger('mmengine').setLevel(level)
        return ''

    return call


def test_a_dry_run_says_what_would_be_done_and_does_nothing(toy, train, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(PhaseLoop, 'run', lambda self: pytest.fail('it trains'))
    assert train(toy({'schedule.fraction': 0.5, 'schedule.overrides': dict(task_head=dict(handover='last'))}),
                 '--dry-run') == ''
    lines = capsys.readouterr().out
    assert '4 phases, images of 3×12×12' in lines
    assert '2/4 backbone.layers.1: 2 epochs, 6 of 12 images\n' \
        '    trains   182 parameters in backbone.layers.1\n' \
        '    spot     backbone.layers.1: student backbone.layers.1 4×12×12 → Conv1x1, teacher backbone.layers.1 ' \
        '6×12×12: MSELoss\n' \
        '    starts   from the best weights of backbone.layers.0\n' \
        '    costs    0.' in lines
    assert '    task     the losses of the student\n    starts   from the last weights' in lines
    assert 'In all 8 iterations of 4 images' in lines
    assert lines.rstrip().endswith('The run can start.')
    assert [path.name for path in tmp_path.iterdir()] in (['here', 'toy.py'], ['toy.py', 'here'])
    assert not list((tmp_path / 'here').iterdir())


def test_a_dry_run_finds_what_a_run_would_stumble_over(toy, train, capsys):
    assert train(toy({'model.teacher.checkpoint': 'nowhere.pth'}), '--dry-run').startswith(
        "train: model.teacher.checkpoint: there is no file 'nowhere.pth'")
    lines = capsys.readouterr().out  # what it would do is known without the file
    assert '4 phases, images of 3×12×12' in lines and 'The run can start' not in lines
    assert "phase 'x': its optim_wrapper or param_scheduler cannot be built" in train(toy(
        schedule=dict(type='Phases', phase_epochs=1, phases=[
            dict(name='x', train=['all'], task=1, optim_wrapper=dict(optimizer=dict(lr='fast')))])), '--dry-run')


def test_a_dry_run_checks_before_it_counts(toy, train, capsys):
    relu = 'backbone.layers.0.2'
    path = toy({'model.teacher': dict(network(), _delete_=True), 'model.spots': ['backbone.layers.0.1', relu]})
    assert train(path, '--dry-run') == f"train: phase '{relu}': nothing in ['{relu}'] has parameters to train"
    assert not capsys.readouterr().out


def test_an_option_that_is_a_dict(toy, train, tmp_path):
    Config(dict(default_scope='mmseg', model=network())).dump(str(tmp_path / 'net.py'))
    path = toy({'model.student': dict(_delete_=True, cfg=str(tmp_path / 'net.py'))})
    option = "model.student.options={'model.decode_head.num_classes': 2, 'model.auxiliary_head': None}"
    assert train(path, '--dry-run', '--cfg-options', option).startswith(
        'train: the student (model.student) cannot be trained on the first training image: ')
    assert train(path, '--dry-run', '--cfg-options', option.replace("classes': 2", "classes': 3")) == ''


def test_a_run_resumes_from_a_checkpoint_by_its_path(toy, train, tmp_path):
    path = toy(schedule=dict(type='Stagewise', phase_epochs=1, val_interval=1),
               default_hooks=dict(logger=dict(type='LoggerHook', interval=1)))
    assert train(path, '--work-dir', tmp_path / 'run') == ''
    whole = load(tmp_path / 'run/iter_12.pth')
    lines = len(log_lines(tmp_path / 'run'))
    assert train(path, '--work-dir', tmp_path / 'run', '--resume', tmp_path / 'run/iter_9.pth') == ''
    again = load(tmp_path / 'run/iter_12.pth')
    assert not differing(dict(whole['state_dict']), dict(again['state_dict']))
    assert [line['iter'] for line in log_lines(tmp_path / 'run')[lines:] if 'loss' in line] == [10, 11, 12]


def test_a_dry_run_of_a_plain_config(toy, train, capsys):
    assert train(toy(model=network(), train_cfg=dict(type='IterBasedTrainLoop', max_iters=1)),
                 '--dry-run') == ''
    assert capsys.readouterr().out.rstrip().endswith('The run can start.')


@pytest.mark.parametrize(('changes', 'message'), [
    ({'schedule.phase_epoch': 1}, "train: schedule.phase_epoch: a Stagewise schedule takes no 'phase_epoch'; did you "
                                  "mean 'phase_epochs' or 'phase_iters'?"),
    ({'schedul': dict()}, "train: schedul: there is no such key; did you mean 'schedule'?")])
def test_a_misspelt_key_is_the_first_thing_that_is_said(toy, train, tmp_path, capsys, changes, message):
    assert train(toy(changes)) == message
    assert 'System environment' not in capsys.readouterr().out
    assert not list((tmp_path / 'here').iterdir())


def test_what_makes_no_sense_to_the_model_is_one_message_too(toy, train):
    assert train(toy({'schedule.overrides': {'backbone.layers.7': dict(epochs=1)}})).startswith(
        "train: schedule Stagewise, `overrides`: there is no phase 'backbone.layers.7'; did you mean")
    assert train(toy({'model.spots': ['backbone.layer.1']})).startswith('train: model.spots: the student')


def test_a_validation_that_cannot_be_built_is_named(toy, train):
    assert train(toy({'val_dataloader.dataset.images': []})).startswith(
        'train: val_dataloader.dataset (mmengine.ToySegDataset(first=500, images=[], ')
    assert "(IoUMetric(iou_metrics=['mIoU'], output_dir=3)): the validation cannot be built: " in train(toy(
        {'val_evaluator.output_dir': 3}))


def test_a_task_that_cannot_be_learnt_is_one_message_and_found_by_a_dry_run(toy, train, capsys):
    path = toy({'model.student.decode_head.num_classes': 2})
    for options in ([], ['--dry-run']):
        assert train(path, *options).startswith(
            'train: the student (model.student) cannot be trained on the first training image: ')
    assert 'The run can start' not in capsys.readouterr().out


@pytest.mark.parametrize(('option', 'words'), [
    ('model.spots.0.student.name=x', "model.spots.0.student is 'backbone.layers.0'"),
    ('model.spots.9.student=x', 'model.spots is ')])
def test_an_option_that_has_no_place_in_the_config(toy, train, option, words):
    said = train(toy(), '--cfg-options', option)
    assert said.startswith(f'train: --cfg-options {option}: it cannot be set, as ') and words in said


def test_a_run_that_is_started_again_resumes_by_itself(toy, train, monkeypatch):
    seen = []
    monkeypatch.setattr(PhaseLoop, '__init__', lambda self, runner, **kwargs: seen.append(runner.cfg.resume) or 1 / 0)
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', '1')
    with pytest.raises(ZeroDivisionError):
        train(toy())
    assert seen == [True]


def test_a_damaged_checkpoint_of_a_plain_run_is_passed_over(toy, train, tmp_path):
    loop = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=4)
    path = toy(model=network(), train_cfg=loop, param_scheduler=[],
               default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2)))
    assert train(path) == ''
    folder = tmp_path / 'here/work_dirs/toy'
    before = (folder / 'iter_4.pth').read_bytes()
    (folder / 'iter_4.pth').write_bytes(before[:-100])
    assert train(path, '--resume') == ''
    log = ''.join(path.read_text() for path in folder.glob('*/*.log'))
    assert 'resuming from iter_2.pth, the one before it' in log


def test_a_plain_run_killed_before_a_validation_keeps_the_same_best_checkpoint(toy, train, tmp_path, monkeypatch):
    """An epoch writes its checkpoint before it is validated; the first of the two validations is the better one."""
    path = toy({'train_dataloader.sampler.type': 'DefaultSampler'}, model=network(), param_scheduler=[],
               train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=2),
               val_evaluator=dict(type='mmengine.ToyMetric', values=[0.9, 0.1]),
               default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1, save_best='score', rule='greater',
                                                  max_keep_ckpts=1)))

    def die(self):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr('mmengine.runner.ValLoop.run', die)
        with pytest.raises(Killed):
            train(path)
    MessageHub._instance_dict.clear()  # it would be another process
    assert train(path, '--resume') == ''
    folder = tmp_path / 'here/work_dirs/toy'
    assert [file.name for file in folder.glob('best_*.pth')] == ['best_score_epoch_1.pth']
    assert (folder / 'epoch_1.pth').is_file() and (folder / 'epoch_2.pth').is_file()


def with_prelude(toy, tmp_path, **changes):
    """A toy run whose teacher is a bank that an ordinary run on drawn numbers makes."""
    loader = dict(batch_size=8, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
                  dataset=dict(type='skd_mm.SyntheticDigits', num_classes=3, per_class=8,
                               pipeline=[dict(type='mmpretrain.PackInputs')]))
    Config(dict(
        default_scope='mmpretrain',
        model=dict(type='ImageClassifier', backbone=dict(type='skd_mm.LeNet5'), neck=None,
                   head=dict(type='LinearClsHead', num_classes=3, in_channels=84)),
        data_preprocessor=dict(mean=[60.], std=[75.], to_rgb=False),
        train_dataloader=loader, train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=20),
        val_dataloader=loader, val_cfg=dict(type='ValLoop'), val_evaluator=dict(type='Accuracy'),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=3e-3)),
        visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')], name='one'),
        randomness=dict(seed=0), log_level='WARNING')).dump(str(tmp_path / 'plain.py'))
    bank = dict(type='skd_mm.TargetBank', num_classes=3, rows=2, stride=1, checkpoint='prelude/bank.pth')
    spot = dict(name='logits', student='decode_head.conv_seg', teacher='bank', loss=dict(type='KDLoss'),
                discriminator=dict(type='LabelDiscriminator'))
    return toy(changes, prelude=dict(cfg=str(tmp_path / 'plain.py')),
               visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')], name='one'),
               model=dict(type='skd_mm.Distiller', student=network(), teacher=bank, spots=[spot]),
               schedule=dict(type='Phases', phase_iters=2, phases=[dict(
                   name='lwkd', train='all', task=0.1, spots={'logits': 0.9, 'logits.discriminator': 0.1})]))


def test_a_teacher_is_trained_first_and_then_its_student(toy, train, tmp_path):
    run = tmp_path / 'run'
    assert train(with_prelude(toy, tmp_path), '--work-dir', run) == ''
    bank, = run.glob('prelude/plain-*/bank.pth')
    assert (run / 'iter_2.pth').is_file() and len(list(run.glob('*/vis_data/scalars.json'))) == 1
    assert any('spots.logits.discriminator.discriminator_loss' in line for line in log_lines(run))
    made = bank.stat().st_mtime_ns
    assert train(with_prelude(toy, tmp_path), '--work-dir', run, '--resume') == '' and bank.stat().st_mtime_ns == made


def test_a_prelude_by_itself(toy, train, tmp_path):
    run = tmp_path / 'run'
    assert train(with_prelude(toy, tmp_path), '--work-dir', run, '--prelude-only') == ''
    assert len(list(run.glob('prelude/plain-*/bank.pth'))) == 1 and not list(run.glob('*.pth'))


@pytest.mark.parametrize(('change', 'words'), [
    ({'model.spots.0.student': 'decode_head.conv_sec'}, "did you mean 'decode_head.conv_seg'"),
    ({'schedule.phases.0.spots': {'logit': 1}}, "'logit'; did you mean 'logits'"),
    ({'train_dataloader.dataset.images': 'x'}, "train_dataloader.dataset (mmengine.ToySegDataset(images='x'")])
def test_what_is_wrong_with_the_student_is_said_before_its_teacher_is_trained(toy, train, tmp_path, change, words):
    message = train(with_prelude(toy, tmp_path, **change), '--work-dir', tmp_path / 'run')
    assert message.startswith('train: ') and words in message
    assert not list((tmp_path / 'run').iterdir())


def test_a_library_that_is_missing_is_said_in_one_line(toy, train, monkeypatch):
    def build(*args, **kwargs):
        raise ImportError('SklearnTable needs scikit-learn: pip install scikit-learn')

    monkeypatch.setattr(PhaseLoop, '__init__', build)
    assert train(toy(), '--dry-run') == 'train: SklearnTable needs scikit-learn: pip install scikit-learn'
