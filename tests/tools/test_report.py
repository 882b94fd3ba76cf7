import pytest


def test_the_tool_writes_a_page(run_tool, distillation, tmp_path, capsys):
    work_dir = tmp_path / 'skd_tiny'
    work_dir.mkdir()
    distillation.config.rename(work_dir / 'skd_tiny.py')
    distillation.checkpoint.rename(work_dir / 'iter_3.pth')
    (work_dir / 'last_checkpoint').write_text('iter_3.pth')
    run_tool('report.py', f'tiny={work_dir}', '--out', tmp_path / 'out', '--images', '2', '--gallery', '1')
    page = (tmp_path / 'out' / 'index.html').read_text()
    assert capsys.readouterr().out.splitlines()[-1] == f'report: {tmp_path / "out" / "index.html"}'
    assert 'Measured for this page on 2 images of the test split' in page
    assert 'The compute of tiny is not counted' in page  # there is no such teacher


@pytest.mark.parametrize('arguments, message', [
    (['nowhere'], "there is no folder 'nowhere'"), (['.', '--images', '-1'], '--images must be 0 or more')])
def test_bad_arguments(run_tool, arguments, message, capsys):
    with pytest.raises(SystemExit) as error:
        run_tool('report.py', *arguments)
    assert message in str(error.value) + capsys.readouterr().err
