"""The tutorial notebook is executed, with trainings of seconds."""

import pytest

nbformat = pytest.importorskip('nbformat', reason='needs nbformat (requirements/tests.txt)')
nbclient = pytest.importorskip('nbclient', reason='needs nbclient (requirements/tests.txt)')
pytest.importorskip('ipykernel', reason='needs ipykernel (requirements/tests.txt)')


@pytest.mark.slow
def test_the_notebook_runs(repo, tmp_path, monkeypatch):
    monkeypatch.setenv('SKD_MM_QUICK', '1')
    monkeypatch.setenv('SKD_MM_NOTEBOOK', str(tmp_path / 'runs'))
    monkeypatch.setenv('PYTHONPATH', str(repo))
    monkeypatch.setenv('MPLBACKEND', 'module://matplotlib_inline.backend_inline')
    notebook = nbformat.read(repo / 'demo' / 'street_scenes.ipynb', as_version=4)
    assert not any(cell.get('outputs') for cell in notebook.cells), 'the notebook is kept without outputs'
    nbclient.NotebookClient(notebook, timeout=300, resources=dict(metadata=dict(path=str(repo / 'demo')))).execute()
    outputs = [output for cell in notebook.cells for output in cell.get('outputs', [])]
    text = ''.join(output.get('text', '') for output in outputs)
    assert all(f'{name:8} mIoU ' in text for name in ('teacher', 'alone', 'skd'))
    assert 'task_head' in text
    assert sum('image/png' in output.get('data', {}) for output in outputs) == 2
    assert (tmp_path / 'runs' / 'skd' / 'last_checkpoint').is_file()
