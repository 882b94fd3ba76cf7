from torch import nn

from skd_mm.tasks import apply_switches


def test_a_switch_is_set_where_a_module_has_it():
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    model[0].no_custom_backward = False
    apply_switches(model)
    assert model[0].no_custom_backward is True and not hasattr(model[1], 'no_custom_backward')
