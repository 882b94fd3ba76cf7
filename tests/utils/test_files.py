import pytest

from skd_mm.utils import atomic_folder


def test_a_complete_folder_appears(tmp_path):
    with atomic_folder(tmp_path / 'a' / 'b') as tmp:
        (tmp / 'file').write_text('x')
        assert not (tmp_path / 'a' / 'b').exists()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*')] == ['a', 'a/b', 'a/b/file']
    assert (tmp_path / 'a' / 'b').stat().st_mode & 0o777 == 0o755


def test_after_an_error_there_is_no_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / 'b') as tmp:
        (tmp / 'file').write_text('x')
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_existing_files_are_not_replaced(tmp_path):
    (tmp_path / 'b').mkdir()
    with atomic_folder(tmp_path / 'b'):
        pass
    (tmp_path / 'b' / 'mine').touch()
    with pytest.raises(OSError, match='not empty'), atomic_folder(tmp_path / 'b'):
        pass
    assert [path.name for path in tmp_path.rglob('*')] == ['b', 'mine']
