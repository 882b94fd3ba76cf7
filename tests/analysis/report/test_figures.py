import re

import numpy as np
import pytest

from skd_mm.analysis.logs import Record, Run
from skd_mm.analysis.report import figures
from skd_mm.analysis.report.differences import config_differences, flatten
from skd_mm.analysis.report.figures import Point

COLOURS = dict(teacher='#444444', one='#ff0000', two='#0000ff')


def test_colours_are_those_of_the_methods_in_all_figures():
    names = ['t', *'abcdefghijk']
    colours = figures.method_colours(names, ['t'])
    assert colours['t'] == '#444444' and list(colours) == names
    students = [colours[name] for name in names[1:10]]
    assert len(set(students)) == 9 and '#7f7f7f' not in students and colours['j'] == colours['a']


def test_scatter_has_a_dot_for_each_run_and_a_mean_for_each_method():
    points = [Point('one', 1., 20.), Point('one', 3., 30.), Point('two', 1000., 40.)]
    svg = figures.scatter({'TFLOPs': points}, 'mIoU', COLOURS).decode()
    assert svg.count('fill: #ff0000; fill-opacity: 0.4') == 2
    assert svg == figures.scatter({'TFLOPs': points}, 'mIoU', COLOURS).decode()  # the same file every time
    assert 'XML' not in svg[:5] and '<!-- one -->' in svg and '<!-- TFLOPs -->' in svg


@pytest.mark.parametrize('count', [3, 40])
def test_of_many_classes_those_are_shown_that_differ_most(count):
    one, two = np.zeros(count), np.zeros(count)
    two[-1] = 50
    svg = figures.class_bars({'IoU': dict(one=one, two=two)}, [f'class{i}' for i in range(count)], COLOURS).decode()
    shown = re.findall('<!-- (class\\d+) -->', svg)
    assert len(shown) == min(count, figures.MAX_CLASSES) and f'class{count - 1}' in shown


def test_confusions():
    svg = figures.confusion_matrices(dict(one=np.eye(3, dtype=int), two=np.ones((3, 3), int)), ['a', 'b', 'c']).decode()
    assert svg.count('<image') >= 2 and '<!-- two -->' in svg


def run(*records):
    return Run('x', list(records))


def test_spot_losses_have_a_panel_for_each_phase_with_spots():
    log = run(Record(1, 'val', 'first', {'spots.backbone/layer1.loss': .5, 'spot_loss': .5}),
              Record(2, 'val', 'second', {'spots.a.loss': .5, 'spots.b.loss': .1}),
              Record(3, 'val', 'last', dict(mIoU=1.)))
    svg = figures.spot_losses(log, '#ff0000').decode()
    assert '<!-- first -->' in svg and '<!-- second -->' in svg and '<!-- last -->' not in svg and '<!-- b -->' in svg
    assert figures.spot_losses(run(Record(3, 'val', 'last', dict(mIoU=1.))), '#ff0000') is None


def test_keep_rates():
    log = run(Record(1, 'train', 'p', {'router.keep.a': 0.5, 'epoch': 1}))
    assert b'<image' in figures.keep_rate_map(log)
    assert figures.keep_rate_map(run(Record(1, 'train', 'p', dict(loss=1.)))) is None


class Configured:
    def __init__(self, **cfg):
        self.cfg = self
        self.values = cfg

    def to_dict(self):
        return self.values


def test_only_settings_that_differ_are_listed():
    one = Configured(model=dict(spots=['a', 'b'], width=1), work_dir='x', lr=0.1)
    two = Configured(model=dict(spots=['a'], width=1), work_dir='y', lr=0.1, schedule=dict(type='S', epochs=3))
    rows, omitted = config_differences([one, two])
    assert rows == [['model.spots', "['a', 'b']", "['a']"], ['schedule.*', '–', 'type=S, epochs=3']]
    assert omitted == 0 and config_differences([one, two], limit=1)[1] == 1
    assert flatten(dict(a=[dict(b=1), 2], c={})) == {'a.0.b': 1, 'a.1': 2, 'c': {}}
