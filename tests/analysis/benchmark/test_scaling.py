"""A cached phase whose data outgrows the memory."""

import pytest

from skd_mm.analysis.benchmark import scaling
from tests.helpers import SPOTS, quick


def test_data_that_outgrows_the_memory(cfg):
    said = []
    with quick():
        found = scaling(cfg(images=32, schedule=dict(type='Stagewise', phase_epochs=2, fraction=0.25)), [1, 4],
                        SPOTS[1], log=said.append)
    assert [entry['images'] for entry in found] == [8, 32] and len(said) == 2
    assert found[0]['memory_mib'] > 0 == found[0]['disk_mib']
    assert found[1]['memory_mib'] <= found[0]['memory_mib'] and found[1]['disk_mib'] > 2 * found[0]['memory_mib']
    assert found[0]['against_linear'] == 1 and found[1]['ms_an_image'] > 0


def test_what_cannot_be_timed(cfg):
    with quick():
        with pytest.raises(ValueError, match='did you mean'):
            scaling(cfg(), [1], 'backbone.layers.9')
        with pytest.raises(ValueError, match='has 3 iterations whatever the size of the data'):
            scaling(cfg(schedule=dict(type='Stagewise', phase_iters=3)), [1], SPOTS[1])
