"""What every test needs: one thread, one random state, no state of MMEngine left over, and where real data is."""

import gc
import os
from pathlib import Path

os.environ.setdefault('MPLBACKEND', 'Agg')

import pytest
import torch
from mmengine.config import config
from mmengine.registry import DefaultScope

# yapf writes its grammar to a cache when it is first imported: here, before two test processes do it at the same time
# and one of them reads the half-written file.
from yapf.yapflib import yapf_api

import skd_mm  # noqa: F401  # before anything imports mmseg, mmpretrain or torchvision
from tests.state import restored_state

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_finish():
    """Exclude all that is imported by now from garbage collection.

    MMEngine collects garbage for every data set that it builds, which takes half a second with all packages imported.
    """
    gc.freeze()


@pytest.fixture(scope='session', autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope='session', autouse=True)
def plain_config_text():
    """Configs are written without yapf's line breaks, which take most of the time of writing one."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (yapf_api, config):  # The original MMEngine imports the function when it is imported itself.
            patch.setattr(module, 'FormatCode', lambda text, **settings: (text, False), raising=False)
        yield


@pytest.fixture(autouse=True)
def fresh_state():
    """Every test starts from seed 0, and leaves no state: it passes alone as it passes among others."""
    torch.manual_seed(0)
    with restored_state():
        yield
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope='session')
def repo():
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope='session')
def real_data():
    """The folder of real data sets (``SKD_MM_DATA``); the test is skipped where there is none."""
    folder = os.environ.get('SKD_MM_DATA')
    if not folder or not Path(folder).is_dir():
        pytest.skip('needs real data: SKD_MM_DATA does not name a folder')
    return Path(folder)
