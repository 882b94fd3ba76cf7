import importlib.abc
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import textwrap

import pytest
import torch

from skd_mm import compat
from skd_mm.compat.imports import MissingOpsFinder

LINE = compat.installed_line()


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


@pytest.fixture
def no_compiled_ops(monkeypatch):
    monkeypatch.delitem(sys.modules, 'mmcv._ext', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [f for f in sys.meta_path if not isinstance(f, MissingOpsFinder)])
    yield
    sys.modules.pop('mmcv._ext', None)


def test_a_compiled_operator_says_why_it_is_not_there(no_compiled_ops):
    from mmcv.utils.ext_loader import load_ext
    if importlib.util.find_spec('mmcv._ext') is not None:
        pytest.skip('this mmcv has its compiled operators')
    compat.patch_mmcv_ops()
    compat.patch_mmcv_ops()
    assert sum(isinstance(finder, MissingOpsFinder) for finder in sys.meta_path) == 1
    ext = importlib.import_module('mmcv._ext')
    assert load_ext('_ext', ['nms', 'roi_align_forward']) is ext
    with pytest.raises(RuntimeError, match="'nms' is not available: mmcv-lite"):
        ext.nms(None, iou_threshold=0.5)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module('mmcv._ext_of_another_name')


def test_compiled_operators_are_preferred_where_they_are(no_compiled_ops):

    class Real(importlib.abc.MetaPathFinder):
        """Stands for whoever finds a compiled mmcv."""

        def find_spec(self, fullname, path, target=None):
            return importlib.machinery.ModuleSpec('mmcv._ext', 'real') if fullname == 'mmcv._ext' else None

    sys.meta_path.append(Real())
    compat.patch_mmcv_ops()
    assert importlib.util.find_spec('mmcv._ext').loader == 'real'


@pytest.mark.skipif(LINE != 'original', reason='the maintained mmsegmentation does not need mmcv.ops')
def test_operators_that_need_no_compiling_work_with_mmcv_lite():
    from mmcv.ops import point_sample
    image = torch.arange(4.).view(1, 1, 2, 2)
    assert point_sample(image, torch.full((1, 1, 2), 0.5)).item() == 1.5
