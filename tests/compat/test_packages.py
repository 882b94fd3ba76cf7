import pytest
from mmengine.config import Config
from mmengine.config import config as mmengine_config

from skd_mm import compat
from skd_mm.compat import packages


def installed(*names):
    return lambda name: name in names


MAINTAINED = ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation', 'onedl-mmpretrain')


@pytest.mark.parametrize(('line', 'names'), [
    ('maintained', MAINTAINED),
    ('original', ('mmengine', 'mmcv-lite', 'mmsegmentation', 'mmpretrain')),
    ('original', ('mmengine-lite', 'mmcv', 'mmsegmentation', 'mmpretrain')),
])
def test_either_line_is_recognised(monkeypatch, line, names):
    monkeypatch.setattr(packages, 'is_installed', installed(*names))
    assert compat.installed_line() == line


@pytest.mark.parametrize(('names', 'message'), [
    ((), 'are not installed'),
    ((*MAINTAINED, 'mmengine'), r'both lines.*pip uninstall -y .*onedl-mmcv .*mmengine'),
    (MAINTAINED[:-1], 'onedl-mmpretrain is missing, but onedl-mmengine'),
    (('mmengine', 'mmcv', 'mmpretrain'), 'mmsegmentation is missing'),
])
def test_neither_both_or_half_a_line_is_refused(monkeypatch, names, message):
    monkeypatch.setattr(packages, 'is_installed', installed(*names))
    with pytest.raises(ImportError, match=f'(?s){message}') as caught:
        compat.installed_line()
    assert 'pip install -r requirements/mminstall' in str(caught.value)
    if len(names) in (0, 5):
        assert all(command in str(caught.value) for command in compat.INSTALL.values())


def test_the_commands_name_files_that_are_there(repo):
    for line, command in compat.INSTALL.items():
        requirements = (repo / command.split()[-1]).read_text()
        assert all(any(f'{name}==' in requirements for name in names) for names in compat.LINES[line])
        requirements = (repo / compat.INSTALL_DETECTION[line].split()[-1]).read_text()
        assert {'maintained': 'onedl-mmdetection==', 'original': 'mmdet=='}[line] in requirements


def test_a_config_of_mmsegmentation_can_be_the_base_of_another(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'mmseg::_base_/models/fcn_unet_s5-d16.py'\n")
    assert Config.fromfile(str(config)).model.backbone.type == 'UNet'


def test_a_config_of_a_zoo_is_found_without_its_metafiles(tmp_path, monkeypatch):
    config = tmp_path / 'config.py'
    monkeypatch.setattr('mmengine.config.utils.load', lambda *args, **kwargs: pytest.fail('a metafile is read'))
    for name in ('_base_/models/fcn_unet_s5-d16.py', 'unet/unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024.py'):
        config.write_text(f"_base_ = 'mmseg::{name}'\n")
        assert Config.fromfile(str(config)).model.backbone.type == 'UNet'
    compat.patch_zoo_paths()  # once only
    assert not hasattr(mmengine_config._get_external_cfg_path.__wrapped__, '__wrapped__')


def test_a_config_that_no_zoo_has_is_reported(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'mmseg::unet/nowhere.py'\n")
    with pytest.raises(FileNotFoundError, match=r'unet/nowhere\.py'):
        Config.fromfile(str(config))


def test_a_config_of_mmdetection_can_be_the_base_of_another(tmp_path):
    pytest.importorskip('mmdet')
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'\n")
    assert Config.fromfile(str(config)).model.type == 'RetinaNet'


def test_hub_does_not_start_pip(monkeypatch):
    from mmengine import hub
    from mmengine.utils import package_utils
    monkeypatch.setattr(package_utils, 'call_command', lambda command: pytest.fail(f'called {command}'))
    assert hub.get_config('mmseg::_base_/models/fcn_unet_s5-d16.py').model.backbone.type == 'UNet'


@pytest.mark.parametrize(('names', 'package'), [((), 'mmseg'), (('mmsegmentation', ), 'mmsegmentation')])
def test_mmseg_stands_for_itself_only_where_mmsegmentation_is_not_installed(monkeypatch, names, package):
    from mmengine.config import utils
    monkeypatch.setattr(utils, 'MODULE2PACKAGE', {'mmseg': 'mmsegmentation'})
    monkeypatch.setattr(packages, 'is_installed', installed(*names))
    compat.patch_package_names()
    assert {'mmseg': package, 'skd_mm': 'skd_mm'} == utils.MODULE2PACKAGE
