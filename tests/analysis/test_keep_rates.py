import pytest

from skd_mm.analysis.keep_rates import keep_rates, plot_keep_rates
from skd_mm.analysis.logs import Record, Run


def record(position, epoch, mode='train', phase='simultaneous', **rates):
    values = {f'router.keep.{name}': value for name, value in rates.items()}
    return Record(position, mode, phase, dict(epoch=epoch, **values))


RUN = Run('x', [record(1, 1, phase='prepare'), record(2, 1, a=0.2, b=1), record(3, 1, a=0.4, b=1),
                record(4, 2, a=0.8, b=0), record(4, 2, 'val')])


def test_rates_are_means_over_an_epoch():
    first, second = RUN.spans()
    assert keep_rates(first) == {}
    rates = keep_rates(second)
    assert list(rates) == ['a', 'b']
    assert rates['a'] == {1: pytest.approx(0.3), 2: 0.8} and rates['b'] == {1: 1, 2: 0}


def test_the_picture_has_a_row_a_spot_and_a_column_an_epoch(tmp_path):
    figure = plot_keep_rates(RUN, tmp_path / 'x' / 'rates.png')
    image, = figure.axes[0].images
    assert image.get_array().tolist() == [[pytest.approx(0.3), 0.8], [1, 0]]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ['a (0.55)', 'b (0.50)']
    assert image.get_clim() == (0, 1) and (tmp_path / 'x' / 'rates.png').exists()


def test_without_a_router_nothing_is_drawn(tmp_path):
    assert plot_keep_rates(Run('x', [record(1, 1)]), tmp_path / 'rates.png') is None
    assert not list(tmp_path.iterdir())
