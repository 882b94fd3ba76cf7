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
    loss, miou, _ = figure.axes
    drawn = [line for line in lines(loss) if line[0][0] not in (20, 40) or line[0][0] != line[0][-1]]
    assert ([10, 20], [1 / 10, 1 / 20]) in drawn and ([30, 40], [1 / 10, 1 / 20]) in drawn
    assert ([10, 20], [1., 2.]) in lines(miou)
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ['skd', 'skd (validation)', 'none']
    assert [text.get_text() for text in miou.get_legend().get_texts()] == ['skd', 'none']
    assert figure._suptitle.get_text() == 'Loss' and loss.get_ylabel() == 'loss' and miou.get_xlabel() == 'iteration'


def test_losses_have_a_logarithmic_axis_where_they_can():
    figure = plot_curves([stagewise()], ['loss', 'mIoU'])
    assert [panel.get_yscale() for panel in figure.axes[:2]] == ['log', 'linear']
    assert plot_curves([plain()], ['loss']).axes[0].get_yscale() == 'linear'


def boundaries(panel):
    return [line.get_xdata()[0] for line in panel.get_lines() if line.get_linestyle() == ':']


def test_runs_that_share_their_phases_share_a_row_of_names():
    figure = plot_curves([stagewise('a'), stagewise('b')], ['loss', 'mIoU'])
    *panels, strip = figure.axes
    assert [text.get_text() for text in strip.texts] == ['stem', 'layer1', 'head']
    assert [label.get_text() for label in strip.get_yticklabels()] == ['phase']
    for panel in panels:
        assert boundaries(panel) == [20, 40] and not panel.texts


def test_names_of_phases_never_overlap():
    long = [f'a_very_long_name_of_a_phase.layer{i}' for i in range(6)]
    other = Run('other', [Record(15 * (i + 1), 'train', name, dict(loss=1.)) for i, name in enumerate(long)])
    tiny = Run('tiny', [Record(i + 1 if i < 5 else 90, 'train', name, dict(loss=1.)) for i, name in enumerate(long)])
    figure = plot_curves([stagewise('a'), other, tiny, plain()], ['loss'])
    panel, strip = figure.axes
    assert boundaries(panel) == [20, 40, 15, 30, 45, 60, 75, 1, 2, 3, 4, 5]
    assert [label.get_text() for label in strip.get_yticklabels()] == ['a', 'other', 'tiny']
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in strip.texts]
    assert len(boxes) == 15
    assert not [(one, two) for i, one in enumerate(boxes) for two in boxes[i + 1:] if one.overlaps(two)]
    numbers = Run('x', [Record(100 * (i + 1), 'train', f'decode_head.of_a_long_name.blocks.{i}', dict(loss=1.))
                        for i in range(9)])
    assert [text.get_text() for text in plot_curves([numbers], ['loss']).axes[1].texts] == [
        f'blocks.{i}' for i in range(9)]
    assert [text.get_text() for text in strip.texts][3:] == [
        *(f'layer{i}' for i in range(6)), '1', '2', '3', '4', '5', long[5]]


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
