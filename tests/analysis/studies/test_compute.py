import pytest
from mmengine.config import Config

from skd_mm.analysis import flops
from skd_mm.analysis.config_model import build_model
from skd_mm.analysis.studies import StudyError, compute, configs
from tests.helpers import config, network


def counted(toy, name, **options):
    study = toy.read(methods=[toy.method('a', name, options=options)])
    cfg = configs.method_config(study, study.methods[0], 1.0)
    return cfg, compute.count(cfg)


def test_a_run_costs_what_get_flops_counts(toy):
    cfg, found = counted(toy, 'skd')
    cost = found.compute(cfg)
    assert (cost.phases, cost.length, cost.unit, cost.images, cost.iterations) == (3, 4, 'epochs', 12, 36)
    assert cost.flops == 4 * 12 * sum(phase.truncated for phase in found.costs) > cost.flops_cached
    cfg.schedule.fraction = 0.5
    assert found.compute(cfg).iterations == 12


def test_phases_of_different_lengths(toy):
    cfg, found = counted(toy, 'skd', **{'schedule.overrides': {'backbone.layers.0': dict(epochs=2)}})
    cost = found.compute(cfg)
    assert cost.length is None and cost.iterations == 30


@pytest.mark.parametrize('fraction', [1.0, 0.5])
def test_a_matched_run_costs_the_same(toy, fraction):
    cfg, found = counted(toy, 'skd')
    other, baseline = counted(toy, 'none')
    cfg.schedule.fraction = other.schedule.fraction = fraction
    total = found.compute(cfg).flops
    compute.match(other, baseline, total)
    cost = baseline.compute(other)
    per_epoch = cost.flops / cost.length
    assert abs(cost.flops - total) <= per_epoch / 2
    assert cost.length != 4 and other.schedule.phase_epochs == cost.length
    assert other.param_scheduler.milestones == [round(cost.length / 4), round(cost.length / 2)]


def test_a_matched_run_whose_length_is_in_iterations(toy):
    total = 10**9
    other, baseline = counted(toy, 'none')
    other.schedule.pop('phase_epochs')
    other.schedule.phase_iters = 3
    compute.match(other, baseline, total)
    cost = baseline.compute(other)
    assert cost.unit == 'iters' and abs(cost.flops - total) <= cost.flops / cost.length / 2


@pytest.mark.parametrize(('overrides', 'words'), [
    ({'backbone.layers.0': dict(fraction=0.5)}, r'see the same images, not .* fractions \[0.5, 1.0\]'),
    ({'backbone.layers.0': dict(iters=3)}, 'length in one unit'),
    ({'backbone.layers.0': dict(epochs=3)}, "phases have lengths of their own: {'backbone.layers.0': 3}")])
def test_phases_that_one_length_cannot_match(toy, overrides, words):
    cfg, found = counted(toy, 'skd', **{'schedule.overrides': overrides})
    with pytest.raises(StudyError, match=words):
        compute.match(cfg, found, 10**9)


def test_fewer_images_than_a_batch(toy):
    cfg, found = counted(toy, 'none')
    cfg.schedule.fraction = 0.2
    with pytest.raises(StudyError, match='2 training images are fewer than one batch of 4'):
        found.compute(cfg)


def test_data_that_does_not_exist(toy, monkeypatch):
    monkeypatch.setattr(compute, 'config_images', lambda cfg: None)
    with pytest.raises(StudyError, match=r'train_dataloader\.dataset: the training data does not exist'):
        counted(toy, 'none')


def test_an_ordinary_run_is_counted_as_one_phase(tmp_path):
    plain = config(tmp_path, model=network(), train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=3, val_interval=2))
    plain.pop('schedule')
    whole = compute.as_schedule(plain)
    cost = compute.count(whole).compute(whole)
    assert (cost.phases, cost.length, cost.iterations) == (1, 3, 9)
    forward = flops.network_cost(build_model(plain), (3, 12, 12)).macs * 2
    assert 2 * forward < cost.flops / 36 < 3.5 * forward
    plain.train_cfg = dict(type='IterBasedTrainLoop', max_iters=7)
    whole = compute.as_schedule(plain)
    assert compute.count(whole).compute(whole).iterations == 7
    scheduled = Config(dict(schedule=dict()))
    assert compute.as_schedule(scheduled) is scheduled


@pytest.mark.parametrize(('values', 'words'), [
    ((1, 1, 'epochs'), '1 epoch'), ((11, 1000, 'epochs'), '11 × 1,000 epochs'), ((1, 5, 'iters'), '5 iterations'),
    ((3, None, 'epochs'), '3 phases')])
def test_lengths_in_words(values, words):
    assert compute.describe_length(*values) == words
