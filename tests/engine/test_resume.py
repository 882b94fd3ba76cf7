"""Which file is chosen; whole runs are in ``tests/integration/test_resume.py`` and ``tests/faults``."""

import logging
from types import SimpleNamespace

import pytest
import torch

from skd_mm.checkpoint import CheckpointError
from skd_mm.engine.resume import (
    archive_previous_run,
    check_batch_size,
    choose_checkpoint,
    config_changes,
    find_resumable,
)

KEYS = ('schedule', )
WHOLE = dict(meta=dict(iter=1), state_dict={}, message_hub={}, optimizer={}, schedule={})


@pytest.fixture
def folder(tmp_path):
    for iteration in (3, 6, 9):
        torch.save(WHOLE, tmp_path / f'iter_{iteration}.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_9.pth'))
    return tmp_path


def truncated(path):
    path.write_bytes(path.read_bytes()[:-50])


def foreign(path):
    torch.save(dict(state_dict={}), path)


def of_no_schedule(path):
    torch.save({key: value for key, value in WHOLE.items() if key != 'schedule'}, path)


def tensor(path):
    torch.save(torch.ones(2), path)


def test_the_newest_is_taken_and_nothing_is_said(folder, caplog):
    assert find_resumable(folder, KEYS) == str(folder / 'iter_9.pth')
    assert not caplog.records


@pytest.fixture
def said(monkeypatch):
    """Warnings, as MMEngine's logger takes them."""
    lines = []
    monkeypatch.setattr('skd_mm.engine.resume.print_log',
                        lambda line, logger, level: lines.append(line) if level == logging.WARNING else None)
    return lines


@pytest.mark.parametrize(('fault', 'words'), [
    (truncated, 'iter_9.pth cannot be read, it is damaged'),
    (foreign, "iter_9.pth was not written by a training run to be resumed: it has no ['meta', 'message_hub'"),
    (tensor, 'iter_9.pth was not written by a training run to be resumed'),
    (of_no_schedule, 'iter_9.pth was not written by a schedule; to start from its weights, give it as `load_from`')])
def test_the_one_before_a_bad_one_is_taken_and_that_is_said(folder, said, fault, words):
    fault(folder / 'iter_9.pth')
    assert find_resumable(folder, KEYS) == str(folder / 'iter_6.pth')
    assert len(said) == 1 and words in said[0] and said[0].endswith('resuming from iter_6.pth, the one before it')
    fault(folder / 'iter_6.pth')
    assert find_resumable(folder, KEYS) == str(folder / 'iter_3.pth')


def test_a_run_without_a_schedule_needs_none(folder):
    of_no_schedule(folder / 'iter_9.pth')
    assert find_resumable(folder) == str(folder / 'iter_9.pth')


def test_where_all_are_bad_none_is_taken_and_the_message_says_why(folder):
    for path in folder.glob('*.pth'):
        truncated(path)
    with pytest.raises(CheckpointError, match=r'no checkpoint in .*iter_9.*iter_6.*iter_3.*omit --resume'):
        find_resumable(folder, KEYS)


def test_where_there_is_none_there_is_none(tmp_path):
    assert find_resumable(tmp_path, KEYS) is None
    (tmp_path / 'best_mIoU_phase00_a.pth').write_text('')
    assert find_resumable(tmp_path, KEYS) is None


@pytest.mark.parametrize('text', ['', '/somewhere/else/iter_9.pth', '\0', 'x' * 5000])
def test_a_folder_that_was_moved_and_a_damaged_pointer(folder, text):
    (folder / 'last_checkpoint').write_text(text)
    assert find_resumable(folder, KEYS) == str(folder / 'iter_9.pth')
    (folder / 'last_checkpoint').write_bytes(b'\xff\xfe')
    assert find_resumable(folder, KEYS) == str(folder / 'iter_9.pth')


def test_a_copy_of_a_folder_goes_on_from_its_own_files(folder):
    (folder / 'other').mkdir()
    torch.save(WHOLE, folder / 'other/iter_6.pth')
    (folder / 'last_checkpoint').write_text(str(folder / 'other/iter_6.pth'))
    assert find_resumable(folder, KEYS) == str(folder / 'iter_6.pth')


def test_what_an_earlier_longer_run_has_left_is_not_taken(folder):
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_6.pth'))
    truncated(folder / 'iter_6.pth')
    assert find_resumable(folder, KEYS) == str(folder / 'iter_3.pth')


def test_numbers_are_compared_as_numbers(folder):
    torch.save(WHOLE, folder / 'iter_10.pth')
    (folder / 'last_checkpoint').unlink()
    assert find_resumable(folder, KEYS) == str(folder / 'iter_10.pth')


def runner(folder, resume=True, load_from=None):
    return SimpleNamespace(work_dir=str(folder), _resume=resume, _load_from=load_from,
                           logger=SimpleNamespace(warning=lambda line: None))


def test_the_runner_is_told(folder, tmp_path):
    one = runner(folder)
    choose_checkpoint(one, KEYS)
    assert one._resume and one._load_from == str(folder / 'iter_9.pth')


@pytest.mark.parametrize(('resume', 'load_from'), [(False, None), (True, 'a.pth'), (False, 'a.pth')])
def test_a_file_that_the_user_names_is_the_users_choice(folder, resume, load_from):
    one = runner(folder, resume, load_from)
    choose_checkpoint(one, KEYS)
    assert (one._resume, one._load_from) == (resume, load_from)


def test_an_empty_folder_is_no_resumed_run(tmp_path):
    one = runner(tmp_path)
    choose_checkpoint(one, KEYS)
    assert not one._resume and one._load_from is None


def begins(folder):
    archive_previous_run(runner(folder, resume=False))


def test_what_an_earlier_run_has_left_is_set_aside(folder):
    (folder / 'best_a.pth').write_text('')
    (folder / 'mine.pth').write_text('')
    begins(folder)
    earlier = folder / 'earlier_1'
    assert {path.name for path in folder.iterdir()} == {earlier.name, 'mine.pth'}
    assert find_resumable(folder, KEYS) is None and find_resumable(earlier, KEYS) == str(earlier / 'iter_9.pth')
    torch.save(WHOLE, folder / 'iter_3.pth')
    begins(folder)
    assert [path.name for path in (folder / 'earlier_2').iterdir()] == ['iter_3.pth']


def test_where_there_is_nothing_to_resume_nothing_is_set_aside(tmp_path):
    (tmp_path / 'best_a.pth').write_text('')
    begins(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['best_a.pth']


def test_the_first_process_chooses_for_all(folder, monkeypatch):
    monkeypatch.setattr('skd_mm.utils.processes.is_main_process', lambda: False)
    monkeypatch.setattr('skd_mm.engine.resume.find_resumable', lambda *args: pytest.fail('another one looks'))

    def tell(values):
        values[:] = told

    monkeypatch.setattr('skd_mm.utils.processes.broadcast_object_list', tell)
    told = ['iter_6.pth', None]
    one = runner(folder)
    choose_checkpoint(one, KEYS)
    assert one._load_from == 'iter_6.pth'
    told = [None, CheckpointError('all are bad')]
    with pytest.raises(CheckpointError, match='all are bad'):
        choose_checkpoint(runner(folder), KEYS)


def test_what_a_config_has_that_is_new():
    before = "a = 1\nmodel = dict(\n    depth=3,\n    x=2)\nwork_dir = 'x'\nresume = False"
    now = "a = 1\nmodel = dict(\n    depth=4,\n    x=2)\nwork_dir = 'y'\nresume = True\nb = 1"
    assert config_changes(before, now) == ['-    depth=3,', '+    depth=4,', '+b = 1']
    assert config_changes(before, before) == []


def test_the_samples_of_an_iteration_must_be_as_many(monkeypatch, caplog):
    monkeypatch.setattr('skd_mm.engine.resume.get_world_size', lambda: 4)
    said = []
    monkeypatch.setattr('skd_mm.engine.resume.print_log', lambda line, *args: said.append(line))
    check_batch_size(processes=4, batch_size=2, size=2)
    assert not said
    check_batch_size(processes=2, batch_size=4, size=2)
    assert 'started on 2 processes and is resumed on 4' in said[0]
    with pytest.raises(ValueError, match=r'has 2 × 8 samples .* this one 4 × 2: resume with .*batch_size=4'):
        check_batch_size(processes=2, batch_size=8, size=2)
    with pytest.raises(ValueError, match=r'has 3 × 2 samples .* resume on as many processes'):
        check_batch_size(processes=3, batch_size=2, size=2)
