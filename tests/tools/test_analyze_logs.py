import json

import pytest


@pytest.fixture
def work_dir(tmp_path):
    lines = [dict(loss=2., time=0.5, iter=10, step=10, phase='stem'), dict(spot_loss=1.5, step=10, phase='stem'),
             dict(loss=1., time=0.5, iter=20, step=20, phase='head'), dict(mIoU=30., step=20, phase='head')]
    log = tmp_path / 'run' / '20260101_000000' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return tmp_path / 'run'


def test_table_and_figure(run_tool, work_dir, tmp_path, capsys):
    out = tmp_path / 'curves.svg'
    log = next(work_dir.glob('*/vis_data/scalars.json'))
    run_tool('analysis_tools/analyze_logs.py', work_dir, log, '--keys', 'mIoU', 'loss', '--legend', 'one', 'two',
             '--title', 'Curves', '--backend', 'agg', '--style', 'whitegrid', '--out', out)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[3:7] == [
        ['stem', 'loss', '10', '5.0', '2', '2', '10'], ['spot_loss', '1.5', '1.5', '10'],
        ['head', 'loss', '10', '5.0', '1', '1', '20'], ['mIoU', '30', '30', '20']]
    assert out.read_text().startswith('<?xml')


def test_without_a_display_there_is_the_table(run_tool, work_dir, capsys):
    run_tool('analysis_tools/analyze_logs.py', work_dir, '--backend', 'agg')
    printed = capsys.readouterr().out
    assert 'mIoU' in printed and 'no display' in printed


def test_unknown_key(run_tool, work_dir, tmp_path, capsys):
    with pytest.raises(SystemExit, match='nothing to draw'):
        run_tool('analysis_tools/analyze_logs.py', work_dir, '--keys', 'miou', '--out', tmp_path / 'x.png')
    assert "'miou' is not logged yet; did you mean 'mIoU'" in capsys.readouterr().out
    assert not (tmp_path / 'x.png').exists()


def test_what_is_logged_is_drawn_without_the_rest(run_tool, work_dir, tmp_path):
    run_tool('analysis_tools/analyze_logs.py', work_dir, '--keys', 'miou', 'loss', '--out', tmp_path / 'x.png')
    assert (tmp_path / 'x.png').exists()
