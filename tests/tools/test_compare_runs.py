"""The table of compare_runs.py."""

import json

import pytest


@pytest.fixture
def compare(run_tool, tmp_path, monkeypatch, capsys):
    """Writes the results of seeds as tools/test.py does, and compares them; gives the cells of the table."""

    def call(results, *args, **values):
        for name, seeds in results.items():
            for seed, value in seeds.items():
                file = tmp_path / f'{name}-s{seed}/test/time/time.json'
                file.parent.mkdir(parents=True)
                file.write_text(json.dumps({'mIoU': value, 'aAcc': 100 - value}))
        monkeypatch.chdir(tmp_path)
        run_tool('analysis_tools/compare_runs.py', *(f'{name}={name}-s*/test/*/*.json' for name in results), *args)
        return [line.split() for line in capsys.readouterr().out.splitlines()]

    return call


def test_methods_are_compared_seed_by_seed(compare):
    lines = compare(dict(none={0: 10, 1: 20, 2: 30}, skd={0: 11, 1: 22, 2: 33}))
    assert lines[0] == ['method', 'runs', 'mIoU', 'std', 'minus', 'none,', '95%', 'interval']
    assert lines[2:] == [['none', '3', '20.00', '10.00'],
                         ['skd', '3', '22.00', '11.00', '+2.00', '[-0.48,', '+4.48]', '(3', 'pairs)']]


def test_another_metric_baseline_and_confidence(compare):
    lines = compare(dict(none={0: 10, 1: 20, 2: 30}, skd={0: 11, 1: 22, 2: 33}), '--baseline', 'skd', '--key', 'aAcc',
                    '--confidence', '0.5')
    assert lines[0][2:] == ['aAcc', 'std', 'minus', 'skd,', '50%', 'interval']
    assert lines[2][:6] == ['none', '3', '80.00', '10.00', '+2.00', '[+1.53,'] and len(lines[3]) == 4


@pytest.mark.parametrize(('results', 'args', 'words'), [
    (dict(none={0: 1, 1: 2}, skd={0: 1}), (), 'skd has 1 results and none has 2, but they are compared in pairs'),
    (dict(none={0: 1}), ('--baseline', 'nine'), "--baseline 'nine' is none of ['none']; did you mean 'none'?"),
    (dict(none={0: 1}), ('--key', 'mDice'), "none-s0/test/time/time.json has no metric 'mDice', only ['mIoU', 'aAcc']"),
    (dict(none={}), (), "'none=none-s*/test/*/*.json' is not NAME=PATTERN, or no file matches")])
def test_errors_are_one_message(compare, results, args, words):
    with pytest.raises(SystemExit) as caught:
        compare(results, *args)
    assert str(caught.value).startswith('compare_runs: ') and words in str(caught.value)
