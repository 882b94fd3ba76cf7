import pytest

from skd_mm.analysis.demo import Stopped
from skd_mm.analysis.demo.record import RunRecord


def test_only_the_same_run_is_kept(tmp_path):
    path = tmp_path / 'run' / 'demo.json'
    RunRecord(path, dict(seed=0, pixels=(1, 2))).update(trained=True)
    (tmp_path / 'run' / 'last_checkpoint').write_text('x')
    assert RunRecord(path, dict(seed=0, pixels=(1, 2)))['trained']
    assert (tmp_path / 'run' / 'last_checkpoint').exists()
    assert not RunRecord(path, dict(seed=1, pixels=(1, 2)))['trained']
    assert not (tmp_path / 'run' / 'last_checkpoint').exists()


def test_a_damaged_record_is_replaced(tmp_path):
    path = tmp_path / 'run' / 'demo.json'
    RunRecord(path, dict(seed=1)).update(trained=True)
    path.write_text('{"identity": ')
    assert not RunRecord(path, dict(seed=1))['trained']


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'mine.txt').write_text('x')
    with pytest.raises(Stopped, match='not from the demo'):
        RunRecord(tmp_path / 'run' / 'demo.json', {})
    assert (tmp_path / 'run' / 'mine.txt').exists()
