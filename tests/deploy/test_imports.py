"""Which of the user's modules an exported config imports."""

import importlib
import sys

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS

from skd_mm.deploy.imports import needed_imports
from skd_mm.registry import LOSSES

NETWORK = """
from mmengine.model import BaseModule
from mmseg.registry import MODELS
@MODELS.register_module(force=True)
class OwnBackbone(BaseModule):
    pass
"""
LOSS = """
from skd_mm.losses import SpotLoss
from skd_mm.registry import LOSSES
@LOSSES.register_module(force=True)
class OwnLoss(SpotLoss):
    pass
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Writes and imports modules by their names."""
    monkeypatch.syspath_prepend(tmp_path)
    before = {*sys.modules}

    def write(**sources):
        for name, source in sources.items():
            (tmp_path / f'{name}.py').write_text(source)
            importlib.import_module(name)

    yield write
    for name in {*sys.modules} - before:
        if name.startswith('own_'):
            del sys.modules[name]
    LOSSES.module_dict.pop('OwnLoss', None)
    for registry in (MODELS, *MODELS.children.values()):
        registry.module_dict.pop('OwnBackbone', None)


def exported(backbone):
    return Config(dict(default_scope='mmseg', model=dict(type='EncoderDecoder', backbone=dict(type=backbone))))


def test_a_module_whose_classes_are_not_used_is_left_out(modules):
    modules(own_network=NETWORK, own_loss=LOSS, own_patch='VALUE = 1')
    imports = ['own_loss', 'own_network', 'own_patch', 'not_imported']
    assert needed_imports(exported('OwnBackbone'), imports) == ['own_network', 'own_patch', 'not_imported']
    assert needed_imports(exported('mmseg.OwnBackbone'), imports) == ['own_network', 'own_patch', 'not_imported']
    assert needed_imports(exported('ResNet'), imports) == ['own_patch', 'not_imported']


def test_a_class_may_be_given_by_itself(modules):
    modules(own_network=NETWORK, own_loss=LOSS)
    cfg = exported(sys.modules['own_network'].OwnBackbone)
    assert needed_imports(cfg, ['own_network', 'own_loss']) == ['own_network']


def test_a_package_brings_what_is_in_its_modules(modules, tmp_path):
    (tmp_path / 'own_package').mkdir()
    (tmp_path / 'own_package/network.py').write_text(NETWORK)
    modules(own_loss=LOSS)
    importlib.import_module('own_package.network')
    assert needed_imports(exported('OwnBackbone'), ['own_package', 'own_loss']) == ['own_package']


def test_all_modules_stay_if_it_is_unknown_which_brings_a_class(modules):
    # It imports what it registers from elsewhere.
    modules(own_network=NETWORK, own_loss=LOSS, own_register='import own_network')
    imports = ['own_register', 'own_loss']
    assert needed_imports(exported('OwnBackbone'), imports) == imports
