"""OneCycleLR and OneCycleMomentum together are torch's OneCycleLR."""

import io

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.optim.scheduler import OneCycleLR
from mmengine.registry import PARAM_SCHEDULERS as ROOT

from skd_mm.engine.schedulers.one_cycle_momentum import OneCycleMomentum


def _optimizer(kind):
    weights = [torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(3))]
    groups = [dict(params=[weights[0]]), dict(params=[weights[1]], lr=1e-3)]
    if kind == 'sgd':
        return torch.optim.SGD(groups, lr=4e-4, momentum=0.9)
    return getattr(torch.optim, kind)(groups, lr=4e-4, betas=(0.9, 0.99))


def _state(optimizer):
    return [(group['lr'], *(group['betas'] if 'betas' in group else (group['momentum'], )))
            for group in optimizer.param_groups]


def _run(schedulers, optimizer, steps):
    track = [_state(optimizer)]
    for _ in range(steps - 1):
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
        track.append(_state(optimizer))
    return track


def _torch_track(kind, steps, **kwargs):
    optimizer = _optimizer(kind)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps, cycle_momentum=True, **kwargs)
    return _run([scheduler], optimizer, steps)


@pytest.mark.parametrize('kind', ['Adam', 'AdamW', 'sgd'])
@pytest.mark.parametrize('steps, kwargs', [
    *[(steps, {}) for steps in (1, 2, 7, 100, 225)],
    (40, dict(three_phase=True)),
    (41, dict(anneal_strategy='linear', pct_start=0.25)),
])
def test_equals_torch_step_by_step(kind, steps, kwargs):
    optimizer = _optimizer(kind)
    ours = [OneCycleLR(optimizer, eta_max=1e-2, total_steps=steps, by_epoch=False, **kwargs),
            OneCycleMomentum(optimizer, total_steps=steps, by_epoch=False, **kwargs)]
    theirs = _torch_track(kind, steps, **kwargs)
    got = _run(ours, optimizer, steps)
    assert torch.allclose(torch.tensor(got), torch.tensor(theirs), rtol=0, atol=1e-12)
    if steps == 100 and not kwargs:
        momenta = [group[1] for row in got for group in row]
        assert momenta[0] == 0.95 and min(momenta) < 0.8502  # torch's test value, so that both cannot stand still


@pytest.mark.parametrize('kind', ['Adam', 'sgd'])
def test_from_epochs_through_a_wrapper(kind):
    epochs, length = 6, 9
    optimizer = _optimizer(kind)
    wrapper = OptimWrapper(optimizer)
    common = dict(total_steps=epochs, by_epoch=True, convert_to_iter_based=True)
    schedulers = [ROOT.build(dict(cfg, **common), default_args=dict(optimizer=wrapper, epoch_length=length))
                  for cfg in (dict(type='OneCycleLR', eta_max=1e-2), dict(type='skd_mm.OneCycleMomentum'))]
    assert not any(scheduler.by_epoch for scheduler in schedulers)
    assert torch.allclose(torch.tensor(_run(schedulers, optimizer, epochs * length)),
                          torch.tensor(_torch_track(kind, epochs * length)), rtol=0, atol=1e-12)


def test_resumes_from_a_state_that_loads_safely():
    steps = 20
    optimizer = _optimizer('Adam')
    first = OneCycleMomentum(optimizer, total_steps=steps, by_epoch=False)
    whole = _run([first], optimizer, 12)
    buffer = io.BytesIO()
    torch.save(dict(optimizer=optimizer.state_dict(), scheduler=first.state_dict()), buffer)
    rest = [*whole[-1:], *_run([first], optimizer, steps - 11)[1:]]

    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    resumed = _optimizer('Adam')
    second = OneCycleMomentum(resumed, total_steps=steps, by_epoch=False)
    resumed.load_state_dict(state['optimizer'])
    second.load_state_dict(state['scheduler'])
    assert [[group[1] for group in row] for row in _run([second], resumed, steps - 11)
            ] == [[group[1] for group in row] for row in rest]


def test_length_from_begin_and_end():
    optimizer = _optimizer('Adam')
    assert OneCycleMomentum(optimizer, begin=3, end=10, by_epoch=False).total_steps == 7


def test_one_momentum_for_each_group():
    optimizer = _optimizer('sgd')
    OneCycleMomentum(optimizer, total_steps=10, max_momentum=[0.95, 0.9], by_epoch=False)
    assert [group['momentum'] for group in optimizer.param_groups] == [0.95, 0.9]


@pytest.mark.parametrize('kwargs, message', [
    (dict(), 'total_steps is missing'),
    (dict(total_steps=0), 'total_steps=0'),
    (dict(total_steps=5, pct_start=1.5), 'pct_start=1.5'),
    (dict(total_steps=5, anneal_strategy='cosine'), "did you mean 'cos'"),
    (dict(total_steps=5, max_momentum=[0.9]), 'expected 2 values'),
])
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        OneCycleMomentum(_optimizer('Adam'), by_epoch=False, **kwargs)


def test_optimizer_without_momentum():
    with pytest.raises(ValueError, match='must support momentum'):
        OneCycleMomentum(torch.optim.Adagrad([torch.nn.Parameter(torch.zeros(1))]), total_steps=3, by_epoch=False)
