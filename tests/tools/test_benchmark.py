"""The command line; what is measured is in tests/analysis/test_benchmark.py."""

import json

import pytest

from tests.helpers import SPOTS, config, quick


@pytest.fixture
def path(tmp_path):
    config(tmp_path / 'run').dump(str(tmp_path / 'toy.py'))
    return tmp_path / 'toy.py'


def test_numbers_a_table_and_a_plot(run_tool, path, tmp_path, capsys):
    with quick():
        run_tool('benchmark.py', path, '--compare', '--iters', 1, '--warmup', 1, '--phases', SPOTS[1],
                 '--json', tmp_path / 'new/numbers.json', '--plot', tmp_path / 'new/plot.png')
    said, numbers = capsys.readouterr().out, json.loads((tmp_path / 'new/numbers.json').read_text())
    phase = numbers['phases'][0]
    assert phase['name'] == SPOTS[1] and f'{phase["ms_bare"]:.1f}' in said
    assert f'{numbers["total"]["ratio_cached"]:.2f} x the time of cached' in said
    assert 'reference, cached, ms' in said and said.count(', GFLOPs') == 3
    assert (tmp_path / 'new/plot.png').stat().st_size > 1000


@pytest.mark.parametrize(('args', 'message'), [
    (['nowhere.py'], "no config 'nowhere.py'"), (['toy.py', '--phases', 'x'], 'there is no phase'),
    (['toy.py', '--iters', '0'], '--iters')])
def test_errors_are_clear(run_tool, path, monkeypatch, capsys, args, message):
    monkeypatch.chdir(path.parent)
    with pytest.raises(SystemExit) as error, quick():
        run_tool('benchmark.py', *args)
    assert message in str(error.value) + capsys.readouterr().err


def test_operations_are_printed_of_what_was_counted(run_tool, path, capsys):
    with quick():
        run_tool('benchmark.py', path, '--iters', 1, '--warmup', 1, '--phases', SPOTS[1], '--no-validation')
    said = capsys.readouterr().out
    assert 'truncated, GFLOPs' in said and 'reference, ms' in said and said.count(', GFLOPs') == 1
