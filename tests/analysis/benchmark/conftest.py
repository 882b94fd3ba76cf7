import pytest

from skd_mm.analysis.benchmark import prepare_config
from tests.helpers import config


@pytest.fixture
def cfg(tmp_path):
    """Gives a toy config that is ready for a benchmark."""
    return lambda **changes: prepare_config(config(tmp_path / 'config', **changes), str(tmp_path / 'run'))
