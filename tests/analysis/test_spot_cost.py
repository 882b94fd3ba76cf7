import pytest
from mmengine.config import Config
from torch import nn

from skd_mm.analysis import spot_cost as module
from skd_mm.analysis.spot_cost import format_table, spot_cost
from tests.helpers import SPOTS, network
from tests.segmentation_methods import HOLISTIC, METHODS


def config(**spots):
    return Config(dict(
        model=dict(type='skd_mm.Distiller', student=network(stride=2), teacher=network(width=6, stride=2),
                   spots=[dict(spot, name=name) for name, spot in spots.items()]),
        schedule=dict(type='Stagewise', phase_iters=1, head_spots=[name for name in spots if name != 'first'])))


def test_the_last_phase_is_measured_at_the_size_of_the_images(monkeypatch):
    seen = []
    monkeypatch.setattr(module, 'peak_memory', lambda step: step() or 7.0)
    connector = nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, 'forward', lambda self, x: seen.append(tuple(x.shape)) or connector(self, x))
    cost = spot_cost(config(first=dict(student=SPOTS[0], connector=dict(type='Conv1x1')), spot=METHODS['FitNets']),
                     (90, 128), batch_size=3, iters=2, warmup=1, clock='cpu')
    assert cost['milliseconds'] > 0 and cost['mib'] == 7 and cost['parameters'] == 4 * 6
    assert seen[-4:] == [(3, 4, 45, 64)] * 4  # of both networks at 64 × 64 before


@pytest.mark.parametrize('method', ['CIRKDMemoryLoss', 'BPKDLoss', 'MGD'])
def test_memory_grows_with_the_images(method):
    first = dict(student=SPOTS[0], connector=dict(type='Conv1x1'))
    small, large = (spot_cost(config(first=first, spot=METHODS[method]), (side, side), iters=1) for side in (32, 128))
    assert small['mib'] < large['mib'] and small['parameters'] == large['parameters']


def test_discriminators_are_part_of_it():
    cfg = config(first=dict(student=SPOTS[0], connector=dict(type='Conv1x1')), spot=HOLISTIC)
    without = spot_cost(cfg, (64, 64), iters=1)
    cfg.schedule.head_spots = ['spot', 'spot.discriminator']
    whole = spot_cost(cfg, (64, 64), iters=1)
    assert without['parameters'] == 0 < whole['parameters']


def test_a_spot_at_several_modules_is_refused():
    cfg = config(first=dict(student=SPOTS[0], connector=dict(type='Conv1x1')),
                 flow=dict(student=SPOTS[1:], loss=dict(type='FSPLoss')))
    cfg.model.teacher = network(stride=2)
    with pytest.raises(ValueError, match=r"spot 'flow' is at several modules"):
        spot_cost(cfg, (64, 64), iters=1)


def test_the_first_row_is_the_reference():
    rows = [dict(config='kd', milliseconds=2.0, mib=0.4, parameters=0),
            dict(config='mgd', milliseconds=30.0, mib=100.2, parameters=1.5e6)]
    cells = [line.split() for line in format_table(rows).splitlines()[2:]]
    assert cells == [['kd', '2.0', '1.0', '0', '0.00'], ['mgd', '30.0', '15.0', '100', '1.50']]
