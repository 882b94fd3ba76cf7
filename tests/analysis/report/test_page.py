import json
import re
import shutil

import numpy as np
import pytest

from skd_mm.analysis.report import Settings, write_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def page(runs, tmp_path_factory):
    """The text of the page about the three runs."""
    from mmengine.registry import DefaultScope
    file = write_report([str(runs)], tmp_path_factory.mktemp('report'), Settings(gallery=2))
    DefaultScope._instance_dict.clear()
    assert file.name == 'index.html'
    return file.read_text()


def cells(page, section):
    text = re.search(f'<section id="{section}">(.*?)</section>', page, re.DOTALL)[1]
    return [[re.sub('<[^>]*>', '', cell).strip() for cell in re.findall('<td.*?</td>', row, re.DOTALL)]
            for row in re.findall('<tr>(.*?)</tr>', text, re.DOTALL)]


def test_the_page_has_all_sections_and_needs_no_network(page):
    assert re.findall('<section id="(.*?)">', page) == [
        'results', 'trade-off', 'curves', 'classes', 'images', 'phases', 'spots', 'configs']
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert 'http' not in re.sub('data:image/[^"]*', '', page)


def test_measured_results_are_those_of_mmsegmentations_metric(page, runs):
    rows = {row[0]: row for row in cells(page, 'results')[1:]}
    assert list(rows) == ['teacher', 'baseline', 'stagewise']
    for row in rows.values():
        # The validation images are also the test images of the toy runs.
        assert float(row[3]) == pytest.approx(float(row[2]), abs=0.011)
    assert int(rows['teacher'][4].replace(',', '')) > int(rows['baseline'][4].replace(',', ''))


def test_phases_have_their_compute_and_time(page):
    rows = [row for row in cells(page, 'phases') if row]
    assert [row[0] for row in rows] == ['no_teacher', 'no_teacher', 'backbone.layers.0', 'backbone.layers.2',
                                        'task_head']
    assert all(row[2] == '6' and float(row[3]) > 0 for row in rows)


def test_configs_differ_in_their_schedules(page):
    differing = {row[0] for row in cells(page, 'configs')[1:]}
    assert {'schedule.type', 'schedule.phase_epochs'} & differing and 'work_dir' not in differing


def test_the_gallery_has_all_networks(page):
    data = json.loads(re.search('class="gallery-data">(.*?)</script>', page)[1])
    assert data['methods'] == ['teacher', 'baseline', 'stagewise'] and len(data['items']) == 2
    differ = [item['differ'] for item in data['items']]
    assert differ == sorted(differ, reverse=True)
    assert all(list(item['layers']) == data['methods'] for item in data['items'])


def test_what_cannot_be_measured_is_noted(runs, tmp_path):
    broken = shutil.copytree(runs / 'baseline', tmp_path / 'a<b>')
    for file in broken.glob('best_*.pth'):
        file.write_bytes(b'no checkpoint')
    page = write_report([str(broken)], tmp_path / 'x.html').read_text()
    assert (tmp_path / 'x.html').exists()
    assert 'a&lt;b&gt; is not tested for this page' in page and '<b>' not in page
    assert 'id="images"' not in page and 'id="curves"' in page


def test_without_networks(runs, tmp_path):
    settings = Settings(images=0, compute=False, title='T & U')
    page = write_report([str(runs / 'stagewise')], tmp_path, settings).read_text()
    assert '<title>T &amp; U</title>' in page
    assert re.findall('<section id="(.*?)">', page) == ['results', 'curves', 'phases', 'spots']
    assert np.isfinite(float(cells(page, 'phases')[-1][1]))
