"""What whole runs share."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def tool():
    """``tools/train.py`` as a module."""
    path = Path(__file__).resolve().parents[2] / 'tools/train.py'
    spec = importlib.util.spec_from_file_location('skd_mm_tools_train', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
