import json
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from skd_mm.analysis.campaign import Part, campaign_parts, run_campaign

ROOT = Path(__file__).resolve().parents[3]


def python(name, code, output=None, resumable=False):
    return Part(name, f'Part {name}', ('-c', code), output, resumable)


def test_parts_are_run_recorded_and_not_run_again(tmp_path, capsys):
    count = tmp_path / 'count'
    ok = python('ok', f"open(r'{count}', 'a').write('x'); open(r'{tmp_path / 'r.json'}', 'w').write('"
                '{"phases": [{"name": "layer1", "ms_truncated": 1.5}]}' "')", tmp_path / 'r.json')
    bad = python('bad', "print('no such thing'); raise SystemExit(3)")
    record = run_campaign([bad, ok], tmp_path / 'out', minutes=1)
    assert record['parts']['ok']['status'] == 'done' and record['parts']['bad']['returncode'] == 3
    assert record['parts']['ok']['result']['phases'][0]['ms_truncated'] == 1.5
    page = (tmp_path / 'out/campaign.md').read_text()
    assert '| layer1 | 1.50 |' in page and 'no such thing' in page
    run_campaign([bad, ok], tmp_path / 'out', minutes=1)
    assert count.read_text() == 'x'  # what failed is run again, what is done is not
    assert 'bad: Part bad' in capsys.readouterr().out
    assert json.loads((tmp_path / 'out/campaign.json').read_text())['parts'].keys() == {'bad', 'ok'}


def test_a_part_that_takes_too_long_is_stopped_and_continued(tmp_path):
    file = tmp_path / 'seen'
    slow = python('slow', f"""
import pathlib, time
file = pathlib.Path(r'{file}')
if not file.exists():
    file.write_text('once')
    time.sleep(60)
""", resumable=True)
    first = run_campaign([slow], tmp_path / 'out', minutes=1, part_minutes=3 / 60)['parts']['slow']
    assert first['status'] == 'partial' and 2 < first['seconds'] < 30
    second = run_campaign([slow], tmp_path / 'out', minutes=1)['parts']['slow']
    assert second['status'] == 'done' and second['seconds'] > first['seconds']


def test_without_time_nothing_is_started(tmp_path, capsys):
    assert run_campaign([python('one', 'raise SystemExit(1)')], tmp_path, minutes=0)['parts'] == {}
    assert 'no time is left' in capsys.readouterr().out


def test_one_campaign_at_a_time_in_a_folder(tmp_path):
    with FileLock(tmp_path / '.lock'), pytest.raises(RuntimeError, match='another campaign runs in'):
        run_campaign([], tmp_path)


@pytest.mark.parametrize('toy', [True, False])
def test_the_parts_name_files_and_options_that_exist(tmp_path, toy):
    parts = campaign_parts(tmp_path, toy)
    assert len({part.name for part in parts}) == len(parts)
    for part in parts:
        for word in part.command:
            if word.startswith(('configs/', 'tools/')):
                assert (ROOT / word).is_file(), word
    assert {'tests', 'skd-fp32', 'study-camvid'} <= {part.name for part in parts}


@pytest.mark.slow
def test_the_campaign_at_toy_size(tmp_path, real_data, monkeypatch):
    monkeypatch.chdir(ROOT)
    parts = [part for part in campaign_parts(tmp_path, toy=True) if not part.name.startswith('study')]
    record = run_campaign(parts, tmp_path)
    assert {name: part['status'] for name, part in record['parts'].items()} == dict.fromkeys(record['parts'], 'done'), \
        [part['last_lines'] for part in record['parts'].values()]
    assert 'truncated, ms' in (tmp_path / 'campaign.md').read_text() and sys.executable
