"""Checks of the losses at spots."""

import pytest
from mmengine.registry import MODELS
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from torch import nn

from skd_mm.config import ConfigError, check_config
from skd_mm.losses import SpotLoss
from skd_mm.registry import LOSSES
from tests.helpers import SPOTS, config, network


def with_loss(tmp_path, loss):
    loss = dict(type=loss) if isinstance(loss, str) else loss
    return config(tmp_path, model=dict(type='skd_mm.Distiller', student=network(), teacher=network(),
                                       spots=[dict(student=SPOTS[0], loss=loss)]))


def refused(cfg):
    with pytest.raises(ConfigError) as caught:
        check_config(cfg)
    return str(caught.value)


@pytest.fixture
def register():
    """Registers a class for the time of a test."""
    registered = []

    def call(registry, name, base):
        registry.register_module(name, module=type(name, (base,), {}))
        registered.append((registry, name))

    yield call
    for registry, name in registered:
        registry.module_dict.pop(name)


def test_a_loss_without_the_interface_of_one(tmp_path, register):
    register(LOSSES, 'PlainLoss', nn.Module)
    register(LOSSES, 'OwnLoss', SpotLoss)
    assert check_config(with_loss(tmp_path, 'OwnLoss')) == []
    assert refused(with_loss(tmp_path, 'PlainLoss')).startswith(
        'model.spots[0].loss.type: PlainLoss is a Module and no loss of a spot: derive it from skd_mm.losses.SpotLoss')


def test_several_losses_at_a_spot(tmp_path, register):
    register(LOSSES, 'PlainLoss', nn.Module)
    several = [dict(type='MSELoss', name='values', weight=2), dict(type='ATLoss')]
    assert check_config(with_loss(tmp_path, several)) == []
    assert refused(with_loss(tmp_path, [*several, dict(type='MSELos')])).startswith(
        "model.spots[0].loss[2].type: there is no loss 'MSELos'; did you mean 'MSELoss'")
    assert refused(with_loss(tmp_path, [several[0], 3])) == (
        'model.spots[0].loss[1] must be a dict with a `type`, not 3')
    assert refused(with_loss(tmp_path, [dict(type='PlainLoss')])).startswith(
        'model.spots[0].loss[0].type: PlainLoss is a Module')


@pytest.mark.parametrize(('registry', 'scope'), [(MODELS, 'mmengine'), (MMPRETRAIN_MODELS, 'mmpretrain')])
def test_a_loss_in_another_librarys_registry(tmp_path, register, registry, scope):
    register(registry, 'StrayLoss', SpotLoss)
    assert refused(with_loss(tmp_path, 'StrayLoss')) == (
        f"model.spots[0].loss.type: there is no loss 'StrayLoss'; 'StrayLoss' is registered in {scope}.registry.MODELS"
        ', and a loss of a spot must be registered in skd_mm.registry: `@LOSSES.register_module()`')
