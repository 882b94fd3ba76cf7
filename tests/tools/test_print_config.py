import pytest
from mmengine.config import Config


def test_prints_the_merged_config(run_tool, tmp_path, capsys):
    (tmp_path / 'base.py').write_text("schedule = dict(type='Stagewise', phase_epochs=50)\n")
    (tmp_path / 'child.py').write_text("_base_ = 'base.py'\nschedule = dict(fraction=0.1)\n")
    run_tool('misc/print_config.py', tmp_path / 'child.py', '--cfg-options', 'schedule.phase_epochs=3',
             '--save-path', tmp_path / 'whole.py')
    printed = capsys.readouterr().out.removeprefix('Config:\n')
    expected = dict(schedule=dict(type='Stagewise', phase_epochs=3, fraction=0.1))
    assert Config.fromstring(printed, '.py').to_dict() == expected
    assert Config.fromfile(tmp_path / 'whole.py').to_dict() == expected
    assert sorted(file.name for file in tmp_path.iterdir()) == ['base.py', 'child.py', 'whole.py']


def test_the_networks_of_a_distiller_may_be_put_in_their_place(run_tool, tmp_path, capsys):
    (tmp_path / 'net.py').write_text(
        "default_scope = 'mmseg'\nmodel = dict(type='EncoderDecoder', backbone=dict(depth=18))\n")
    (tmp_path / 'skd.py').write_text(
        f"model = dict(type='skd_mm.Distiller', student=dict(cfg={str(tmp_path / 'net.py')!r}), "
        f"teacher=dict(cfg={str(tmp_path / 'net.py')!r}, options={{'model.backbone.depth': 101}}, "
        "checkpoint='a.pth'))\n")
    run_tool('misc/print_config.py', tmp_path / 'skd.py', '--expand', '--save-path', tmp_path / 'whole.py')
    net = dict(type='EncoderDecoder', _scope_='mmseg')
    expected = dict(type='skd_mm.Distiller', student=dict(net, backbone=dict(depth=18)),
                    teacher=dict(net, backbone=dict(depth=101), checkpoint='a.pth'))
    assert Config.fromfile(tmp_path / 'whole.py').model.to_dict() == expected
    assert 'depth=101' in capsys.readouterr().out


def test_graph(run_tool, distillation, capsys):
    run_tool('misc/print_config.py', distillation.config, '--graph')
    printed = capsys.readouterr().out
    assert "type='skd_mm.Distiller'" in printed and '(decode_head): UNetHead(' in printed


def test_bad_input(run_tool, tmp_path):
    (tmp_path / 'config.py').write_text('a = 1')
    with pytest.raises(SystemExit, match=r"^print_config: .*did you mean 'config.py'"):
        run_tool('misc/print_config.py', tmp_path / 'confg.py')
    with pytest.raises(SystemExit):
        run_tool('misc/print_config.py', tmp_path / 'config.py', '--save-path', 'x.txt')
