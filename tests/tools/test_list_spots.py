import pytest
from mmengine.config import Config

from skd_mm.analysis.spot_list import list_spots, zoo_checkpoint
from skd_mm.config import load_config
from tests.helpers import config, network, train

SEGFORMER = 'mmseg::segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py'


@pytest.fixture
def pair(tmp_path):
    """Configs of a toy teacher of half the resolution, and of a student with its data and its schedule."""
    cfg = config(tmp_path / 'work', {'custom_imports': dict(imports=['tests.helpers'], allow_failed_imports=False)})
    cfg.model = network()
    cfg.pop('schedule')
    cfg.train_cfg = dict(by_epoch=True, max_epochs=8)
    cfg.dump(str(tmp_path / 'student.py'))
    Config(dict(model=network(width=6, stride=2), default_scope='mmseg')).dump(str(tmp_path / 'teacher.py'))
    return str(tmp_path / 'teacher.py'), str(tmp_path / 'student.py')


def test_both_networks_side_by_side(run_tool, pair, capsys):
    run_tool('analysis_tools/list_spots.py', *pair, '--shape', 12)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ['backbone.layers.0', '4×12×12', '1', 'backbone.layers.0', '6×12×12', '1', 'Conv1x1'] in lines
    assert ['backbone.layers.2', '4×12×12', '1', 'backbone.layers.2', '6×6×6', '2', 'Conv1x1,', 'Resize'] in lines
    assert ['decode_head.conv_seg', '3×12×12', 'decode_head.conv_seg', '3×6×6'] in lines
    assert ['Logits:', 'decode_head.conv_seg', '(student),', 'decode_head.conv_seg', '(teacher)'] in lines


def test_the_written_config_is_ready_to_run(run_tool, pair, tmp_path, capsys):
    file = tmp_path / 'configs' / 'pair.py'
    run_tool('analysis_tools/list_spots.py', *pair, '--shape', 12, '--write', file)
    assert f'python tools/train.py {file}' in capsys.readouterr().out
    cfg = load_config(str(file))
    assert cfg.schedule == dict(type='BackboneFirst', phase_epochs=1, val_interval=1,
                                head=dict(epochs=4, spots=dict(logits=1)))
    cfg.work_dir, cfg.log_level = str(tmp_path / 'run'), 'WARNING'
    runner = train(cfg)
    layers = [f'backbone.layers.{i}' for i in range(3)]
    assert list(runner.train_loop.checkpoints.best) == [*layers, 'task_head']
    with pytest.raises(SystemExit, match=r"list_spots: .*pair.py' exists; remove it, or write another file"):
        run_tool('analysis_tools/list_spots.py', *pair, '--shape', 12, '--write', file)


def test_stages_without_a_counterpart_are_listed(run_tool, pair, tmp_path, capsys):
    cfg = Config(dict(model=network(widths=[5, 5]), default_scope='mmseg'))
    cfg.model.decode_head.update(in_channels=5, in_index=1)
    cfg.dump(str(tmp_path / 'shallow.py'))
    run_tool('analysis_tools/list_spots.py', tmp_path / 'shallow.py', pair[1], '--shape', 12)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ['backbone.layers.1', '4×12×12', '1', 'no', 'counterpart'] in lines


def test_errors_of_configs_are_one_line(run_tool, pair, tmp_path):
    with pytest.raises(SystemExit, match=r"list_spots: there is no config .*; did you mean 'teacher.py'"):
        run_tool('analysis_tools/list_spots.py', tmp_path / 'techer.py', pair[1])
    with pytest.raises(SystemExit, match=r'list_spots: .*has no train_dataloader and no train_cfg and no optim'):
        run_tool('analysis_tools/list_spots.py', pair[1], pair[0], '--shape', 12, '--write', tmp_path / 'new.py')
    assert not (tmp_path / 'new.py').exists()
    with pytest.raises(SystemExit):
        run_tool('analysis_tools/list_spots.py', *pair, '--shape', 0)


@pytest.mark.slow
def test_a_transformer_and_its_checkpoint():
    found = list_spots(SEGFORMER, SEGFORMER)
    assert [own.layout.kind for own, _, _ in found.pairs] == ['tokens'] * 4
    assert [own.stride for own, _, _ in found.pairs] == [4, 8, 16, 32] and found.pairs[0][2] == 'nothing'
    assert zoo_checkpoint(SEGFORMER).endswith('1024x1024_160k_cityscapes_20211208_101857-e7f88502.pth')
