"""The step with two optimizers, in whole toy runs."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.registry import HOOKS

from skd_mm.engine.optimizers.adversarial import AlternatingOptimWrapper
from tests.distillers.test_discriminators import BANK, SPOT
from tests.helpers import SPOTS, ToySegDataset, config, differing, last_checkpoint, log_lines, network, state, train

MODEL = dict(type='skd_mm.Distiller', student=network(), teacher=BANK, spots=[SPOT])
LWKD = dict(type='Phases', phase_iters=3,
            phases=[dict(name='lwkd', train='all', task=0.1, spots={'logits': 0.9, 'logits.discriminator': 0.1})])
SGD = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
SEEN = []


@HOOKS.register_module(force=True)
class OptimRecorder(Hook):
    """Weights around every iteration, and what the optimizers are."""

    def before_train(self, runner):
        SEEN.clear()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        SEEN.append(dict(state=state(runner.train_loop.distiller), outputs=outputs, wrapper=runner.optim_wrapper,
                         lr=runner.optim_wrapper.get_lr()))


def run(folder, changes=None, **kwargs):
    cfg = config(folder, changes, **dict(dict(model=MODEL, schedule=LWKD, param_scheduler=[], optim_wrapper=SGD,
                                              custom_hooks=[dict(type='OptimRecorder')]), **kwargs))
    return train(cfg)


def parts(names):
    return {'discriminator' if 'discriminator' in name else 'student' for name in names}


def test_both_learn_and_all_of_it_is_logged(tmp_path):
    runner = run(tmp_path)
    assert isinstance(runner.optim_wrapper, AlternatingOptimWrapper)
    assert parts(differing(SEEN[0]['state'], SEEN[1]['state'])) == {'student', 'discriminator'}
    line = next(line for line in log_lines(tmp_path) if 'loss' in line)
    terms = ['decode.loss_ce', 'spots.logits.loss', 'spots.logits.discriminator.loss']
    assert line['loss'] == pytest.approx(sum(line[term] for term in terms), rel=1e-4)
    assert line['spots.logits.discriminator.discriminator_loss'] > 0
    assert line['student.lr'] == 0.1 and line['discriminator.lr'] == pytest.approx(1e-4)


def test_both_learning_rates_are_scaled_with_the_batch_size(tmp_path):
    run(tmp_path, auto_scale_lr=dict(enable=True, base_batch_size=2))
    assert SEEN[0]['lr'] == {'student.lr': [0.2], 'discriminator.lr': [pytest.approx(2e-4)]}


def test_each_optimizer_holds_its_own(tmp_path):
    runner = run(tmp_path)
    held = {name: {id(p) for group in wrapper.param_groups for p in group['params']}
            for name, wrapper in runner.optim_wrapper.items()}
    named = dict(runner.train_loop.distiller.named_parameters())
    for part in ('student', 'discriminator'):
        assert held[part] == {id(p) for name, p in named.items() if parts([name]) == {part}}
    defaults = runner.optim_wrapper['discriminator'].optimizer.defaults
    assert (defaults['lr'], defaults['betas']) == (1e-4, (0.5, 0.999))


def test_the_discriminator_is_first_and_the_student_learns_from_the_new_one(tmp_path):
    """With a discriminator that does not learn the student's first step is another one."""
    run(tmp_path / 'a')
    one = SEEN[0]['state']
    run(tmp_path / 'b', {'optim_wrapper.discriminator.optimizer.lr': 0.0})
    still = SEEN[0]['state']
    run(tmp_path / 'c', {'optim_wrapper.discriminator.optimizer.lr': 0.1})
    quick = SEEN[0]['state']
    for name in one:
        if name.endswith('conv_seg.weight'):
            assert not torch.equal(one[name], still[name]) and not torch.equal(one[name], quick[name])


def test_lambda_is_the_weight_of_the_term(tmp_path):
    """With λ = 0 the student equals one without a discriminator, although the discriminator is trained."""
    phase = dict(LWKD['phases'][0], spots={'logits': 0.9, 'logits.discriminator': 0.0})
    run(tmp_path / 'a', schedule=dict(LWKD, phases=[phase]))
    one = SEEN[-1]['state']
    plain = run(tmp_path / 'b', schedule=dict(LWKD, phases=[dict(phase, spots={'logits': 0.9})]))
    assert not isinstance(plain.optim_wrapper, OptimWrapperDict)
    other = SEEN[-1]['state']
    assert parts(differing(one, other)) == {'discriminator'}


def test_gradients_are_accumulated_by_both(tmp_path):
    run(tmp_path, {'optim_wrapper.accumulative_counts': 2}, schedule=dict(LWKD, phase_iters=4))
    states = [{name: value for name, value in seen['state'].items() if name.endswith(('weight', 'bias', 'original'))
               and 'bn' not in name} for seen in SEEN]
    assert not differing(states[0], states[0]) and not differing(states[1], states[2])
    for before, after in ((0, 1), (2, 3)):
        assert parts(differing(states[before], states[after])) == {'student', 'discriminator'}


def test_its_settings_can_be_changed_in_config_and_phase(tmp_path):
    phase = dict(LWKD['phases'][0], optim_wrapper=dict(discriminator=dict(optimizer=dict(lr=0.5))))
    run(tmp_path, {'optim_wrapper.discriminator.optimizer.betas': (0.1, 0.2)}, schedule=dict(LWKD, phases=[phase]))
    defaults = SEEN[0]['wrapper']['discriminator'].optimizer.defaults
    assert (defaults['lr'], defaults['betas']) == (0.5, (0.1, 0.2))


def test_another_class_takes_nothing_of_the_default(tmp_path):
    run(tmp_path, {'optim_wrapper.discriminator': dict(optimizer=dict(type='SGD', lr=0.5))})
    optimizer = SEEN[0]['wrapper']['discriminator'].optimizer
    assert type(optimizer).__name__ == 'SGD' and optimizer.defaults['lr'] == 0.5


def test_data_with_more_classes_than_the_teacher_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(ToySegDataset.METAINFO, 'classes', ('a', 'b', 'c', 'd'))
    monkeypatch.setitem(ToySegDataset.METAINFO, 'palette', [[0, 0, 0]] * 4)
    with pytest.raises(ValueError, match=r'model\.teacher has num_classes=3, and the data set of train_dataloader 4'):
        run(tmp_path)


def test_the_students_schedules_are_the_students(tmp_path):
    run(tmp_path, param_scheduler=[dict(type='ExponentialLR', gamma=0.5, by_epoch=False)])
    assert [seen['lr']['student.lr'][0] for seen in SEEN] == pytest.approx([0.1, 0.05, 0.025])
    assert [seen['lr']['discriminator.lr'][0] for seen in SEEN] == pytest.approx([1e-4] * 3)


def test_half_precision_and_clipping(tmp_path):
    run(tmp_path, optim_wrapper=dict(type='skd_mm.AmpOptimWrapper', optimizer=dict(type='SGD', lr=0.1),
                                     clip_grad=dict(max_norm=0.1)))
    assert all(value.isfinite().all() for value in SEEN[-1]['state'].values())


def test_phases_with_and_without_a_discriminator(tmp_path):
    """Each phase has its own optimizers, and the discriminator continues with its weights."""
    phases = [dict(LWKD['phases'][0], name='first'), dict(name='plain', train='all', task=1.0),
              dict(LWKD['phases'][0], name='last')]
    run(tmp_path, schedule=dict(LWKD, phases=phases, phase_iters=2, handover='last'))
    kinds = [isinstance(seen['wrapper'], OptimWrapperDict) for seen in SEEN]
    assert kinds == [True, True, False, False, True, True]
    assert parts(differing(SEEN[1]['state'], SEEN[3]['state'])) == {'student'}
    assert any('discriminator' in name for name in last_checkpoint(tmp_path)['state_dict'])
    assert set(last_checkpoint(tmp_path)['optimizer']) == {'student', 'discriminator'}


def test_all_parameters_in_the_optimizer_but_the_discriminators(tmp_path):
    runner = run(tmp_path, schedule=dict(LWKD, optimizer_params='all'))
    held = {id(p) for group in runner.optim_wrapper['student'].param_groups for p in group['params']}
    for name, parameter in runner.train_loop.distiller.named_parameters():
        assert (id(parameter) in held) == ('discriminator' not in name)


def test_a_teacher_of_images_has_a_discriminator_too(tmp_path):
    spot = dict(SPOT, teacher='decode_head.conv_seg')
    model = dict(MODEL, teacher=network(), spots=[SPOTS[0], spot])
    run(tmp_path, model=model)
    assert SEEN[-1]['outputs']['spots.logits.discriminator.discriminator_loss'] > 0


def test_a_phase_of_a_discriminator_alone_is_refused_if_it_would_be_validated(tmp_path):
    alone = dict(type='Phases', phase_iters=2, phases=[
        dict(name='alone', train='all', spots=['logits.discriminator'])])
    with pytest.raises(ValueError, match=r"phase 'alone': discriminators alone, .*cannot be validated"):
        train(config(tmp_path, model=MODEL, schedule=alone))
