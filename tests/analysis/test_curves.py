import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from skd_mm.analysis.curves import plot_curves
from skd_mm.analysis.logs import Record, Run


def stagewise(name='skd', shift=0):
    run = Run(name)
    for phase, start in (('stem', shift), ('layer1', shift + 20), ('head', shift + 40)):
        for step in (10, 20):
            run.records.append(Record(start + step, 'train', phase, dict(loss=1 / step)))
        measure = dict(mIoU=30.) if phase == 'head' else dict(loss=2.)
        run.records.append(Record(start + 20, 'val', phase, measure))
    return run


def plain(name='none'):
    return Run(name, [Record(10 * i, mode, None, value) for i in (1, 2)
                      for mode, value in (('train', dict(loss=-1.)), ('val', dict(mIoU=i)))])


def lines(panel):
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in panel.get_lines() if len(line.get_xdata()) > 1
            or line.get_marker() == 'o']


def test_a_panel_a_key_and_a_line_a_phase(tmp_path):
    figure = plot_curves([stagewise(), plain()], ['loss', 'mIoU'], tmp_path / 'new' / 'curves.png', title='Loss')
    assert (tmp_path / 'new' / 'curves.png').stat().st_size > 10_000
    loss, miou = figure.axes
    drawn = [line for line in lines(loss) if line[0][0] not in (20, 40) or line[0][0] != line[0][-1]]
    assert ([10, 20], [1 / 10, 1 / 20]) in drawn and ([30, 40], [1 / 10, 1 / 20]) in drawn
    assert ([10, 20], [1., 2.]) in lines(miou)
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ['skd', 'skd (validation)', 'none']
    assert [text.get_text() for text in miou.get_legend().get_texts()] == ['skd', 'none']
    assert figure._suptitle.get_text() == 'Loss' and loss.get_ylabel() == 'loss' and miou.get_xlabel() == 'iteration'


def test_losses_have_a_logarithmic_axis_where_they_can():
    figure = plot_curves([stagewise()], ['loss', 'mIoU'])
    assert [panel.get_yscale() for panel in figure.axes] == ['log', 'linear']
    assert plot_curves([plain()], ['loss']).axes[0].get_yscale() == 'linear'


def test_phases_are_marked_once_for_runs_that_share_them():
    figure = plot_curves([stagewise('a'), stagewise('b')], ['loss', 'mIoU'])
    assert [text.get_text() for text in figure.axes[0].texts] == ['stem', 'layer1', 'head']
    for panel in figure.axes:
        assert [line.get_xdata()[0] for line in panel.get_lines() if line.get_linestyle() == ':'] == [20, 40]
    assert not figure.axes[1].texts
    figure = plot_curves([stagewise('a'), stagewise('b', shift=5), plain()], ['mIoU'])
    assert [line.get_xdata()[0] for line in figure.axes[0].get_lines() if line.get_linestyle() == ':'] == [
        20, 40, 25, 45]
    assert len(figure.axes[0].texts) == 6


@pytest.mark.parametrize('legend, expected', [(['x', 'y'], [['x', 'y'], ['x', 'y']]),
                                              (['a', 'b', 'c', 'd'], [['a', 'c'], ['b', 'd']])])
def test_legend(legend, expected):
    figure = plot_curves([plain('p'), plain('q')], ['loss', 'mIoU'], legend=legend)
    assert [[text.get_text() for text in panel.get_legend().get_texts()] for panel in figure.axes] == expected


def test_style_and_figure_of_the_callers():
    own = Figure()
    before = mpl.rcParams['axes.facecolor']
    assert plot_curves([plain()], ['mIoU'], style='dark', figure=own) is own
    assert mpl.colors.to_hex(own.axes[0].get_facecolor()) == '#eaeaf2' and mpl.rcParams['axes.facecolor'] == before


def test_bad_input():
    with pytest.raises(KeyError, match=r"has logged 'miou'; did you mean 'mIoU'"):
        plot_curves([plain()], ['miou'])
    with pytest.raises(ValueError, match=r'1 names for 2 runs and 2 keys: it needs 2 or 4'):
        plot_curves([plain(), plain()], ['mIoU', 'loss'], legend=['a'])
    with pytest.raises(ValueError, match=r"'darkgird'; did you mean 'darkgrid'"):
        plot_curves([plain()], ['mIoU'], style='darkgird')
