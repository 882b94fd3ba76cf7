import json

import pytest


def test_the_tool_prints_and_writes_the_ratios(run_tool, tmp_path, capsys):
    config = 'configs/sakd/cifar100/sakd-crd_resnet56_resnet20_1xb64-240e_cifar100.py'
    run_tool('analysis_tools/router_cost.py', config, '--batch-size', '2', '--rounds', '1', '--device', 'cpu', '--json',
             tmp_path / 'out' / 'cost.json', '--cfg-options', 'model.spots.0.memory.negatives=8')
    numbers = json.loads((tmp_path / 'out' / 'cost.json').read_text())
    assert numbers['ratio_units'] == pytest.approx(
        numbers['milliseconds']['routed']
        / (3 * numbers['milliseconds']['teacher'] + 5 * numbers['milliseconds']['student']))
    assert 0 < numbers['ratio_flop_units'] < 1.15
    assert f'{numbers["ratio_units"]:.2f} x that of 3 teacher + 5 student forward passes' in capsys.readouterr().out


def test_a_config_without_a_router_is_refused(run_tool):
    with pytest.raises(SystemExit, match=r'has no `model.router`'):
        run_tool('analysis_tools/router_cost.py', 'configs/skd/cifar100/skd_resnet56_resnet20_1xb64-100e_cifar100.py')
