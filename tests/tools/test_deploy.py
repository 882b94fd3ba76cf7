import json

import pytest


@pytest.mark.slow
def test_a_student_is_deployed_and_its_file_tested(run_tool, distillation, capsys):
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    out = distillation.folder / 'out'
    run_tool('deploy.py', distillation.config, distillation.checkpoint, out, '--normalize', '--dynamic', 'fixed',
             '--name', 'tiny', '--threads', 1, '--rounds', 2, '--images', 2)
    printed = capsys.readouterr().out
    assert 'pytorch' in printed and 'onnx' in printed and printed.rstrip().endswith(str(out))
    results = json.loads((out / 'deploy.json').read_text())
    plain, file = results['files']
    assert file['difference'] < 1e-4 and file['metrics'] == plain['metrics'] and results['input'] == [1, 3, 32, 64]
    run_tool('test.py', distillation.config, out / 'tiny.onnx', '--work-dir', distillation.folder / 'test_dir')
    written, = (distillation.folder / 'test_dir').glob('*/*.json')
    assert json.loads(written.read_text())['mIoU'] == pytest.approx(plain['metrics']['mIoU'])


def test_errors_are_single_messages(run_tool, distillation):
    out = distillation.folder / 'out'
    with pytest.raises(SystemExit, match=r"deploy: there is no format 'onnx-int4'; did you mean 'onnx-int8'"):
        run_tool('deploy.py', distillation.config, distillation.checkpoint, out, '--formats', 'onnx-int4')
    with pytest.raises(SystemExit, match=r'deploy: .*there is no file'):
        run_tool('deploy.py', distillation.config, distillation.folder / 'no.pth', out, '--formats', 'torchscript')
    assert not out.exists()
