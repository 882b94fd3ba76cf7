import os
import subprocess
import sys
import textwrap

import torch

from skd_mm import compat


def run_python(code, **env):
    result = subprocess.run([sys.executable, '-W', 'ignore', '-c', textwrap.dedent(code)], capture_output=True,
                            text=True, check=False, env={**os.environ, **env})
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_no_messages_about_optional_parts(repo):
    """Without skd_mm, these imports print debug messages and warnings."""
    code = 'import skd_mm, mmseg.datasets, mmseg.models, mmpretrain.datasets, mmpretrain.models'
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True,
                            env={**os.environ, 'PYTHONPATH': str(repo)})
    assert result.stdout == ''
    assert 'MultiScaleDeformableAttention' not in result.stderr


def test_other_messages_are_printed(capsys):
    import logging

    from mmengine.logging import print_log
    print_log('visible')
    print_log('hidden', level=logging.DEBUG)
    print_log('silent', 'silent')
    assert capsys.readouterr().out == 'visible\n'


def test_torchvision_is_imported_whose_extension_cannot_be_loaded(tmp_path):
    package = tmp_path / 'torchvision'
    package.mkdir()
    (package / '_C.so').write_bytes(b'built for another torch')
    (package / '__init__.py').write_text(
        'import torch\n'
        "for name in ('nms', 'qnms'):\n"
        "    torch.library.register_fake(f'torchvision::{name}')(lambda dets, scores, iou_threshold: dets)\n")
    code = """
        import sys
        import skd_mm
        print([name for name in ('mmseg', 'mmpretrain', 'torchvision') if name in sys.modules])
        import torchvision
        print(torchvision.__file__)
        """
    root = os.path.dirname(os.path.dirname(compat.__file__))
    lines = run_python(code, PYTHONPATH=f'{tmp_path}{os.pathsep}{root}').splitlines()
    assert lines == ['[]', str(package / '__init__.py')]  # and importing skd_mm imports nothing heavy


def test_torchvision_that_works_is_left_alone(monkeypatch):
    import torchvision
    defined = []
    monkeypatch.setattr(torch.library, 'define', lambda *args: defined.append(args))
    compat.patch_torchvision()
    monkeypatch.delitem(sys.modules, 'torchvision')
    compat.patch_torchvision()
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    compat.patch_torchvision()
    assert not defined
    assert torchvision.ops.nms is not None
