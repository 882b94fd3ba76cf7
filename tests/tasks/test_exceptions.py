import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from skd_mm.tasks import apply_switches, eval_mode
from tests.helpers import state


def test_a_switch_is_set_where_a_module_has_it():
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    model[0].no_custom_backward = False
    apply_switches(model)
    assert model[0].no_custom_backward is True and not hasattr(model[1], 'no_custom_backward')


def test_a_state_may_lack_buffers_that_follow_from_the_config_and_no_others():
    model = nn.Sequential(nn.Linear(1, 1))
    model[0].register_buffer('relative_coords_table', torch.zeros(1))
    apply_switches(model)
    whole = nn.ModuleDict(dict(student=model))
    weights = whole.state_dict()
    del weights['student.0.relative_coords_table']
    whole.load_state_dict(weights)
    del weights['student.0.bias']
    with pytest.raises(RuntimeError, match=r'student\.0\.bias'):
        whole.load_state_dict(weights)


@pytest.mark.parametrize(('cfg', 'outputs'), [
    (dict(type='PIDNet', channels=4, ppm_channels=4, num_stem_blocks=1, num_branch_blocks=1), 3),
    (dict(type='DDRNet', channels=4, ppm_channels=4), 2),
])
def test_frozen_backbones_return_what_the_losses_of_their_heads_read(cfg, outputs):
    backbone = MODELS.build(cfg)
    model = nn.Sequential(backbone).train()
    eval_mode(model)
    before, image = state(model), torch.rand(2, 3, 64, 64)
    found = model(image)
    assert len(found) == outputs and not model.training
    assert state(model).keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in state(model).items())
    assert torch.equal(found[1], backbone.eval()(image))


def test_other_modules_are_in_eval_mode_altogether():
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(1)).train()
    eval_mode(model)
    assert not any(module.training for module in model.modules())
