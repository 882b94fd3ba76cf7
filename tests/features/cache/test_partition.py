"""Every process computes the features of its samples once, whatever the number of processes is."""

from itertools import islice

import pytest
import torch

from skd_mm.datasets.seeded import PhaseSampler
from skd_mm.features import FeatureCache, FeatureFiles

BATCH = 8


def epochs_of_misses(samples, world_size, epochs, folder, disk=2**20):
    """Return the missing samples of each epoch over all processes, and how many had been stored."""
    misses, stored = [0] * epochs, 0
    for rank in range(world_size):
        size = BATCH // world_size
        sampler = PhaseSampler(range(samples), size, 0, 0, rank=rank, world_size=world_size)
        own = len(list(sampler.samples()))
        files = FeatureFiles(folder / f'{world_size}_{rank}', lambda: 'k', disk)
        # 8 bytes per sample: a third on the device, and a third on the host.
        cache = FeatureCache(own // 3 * 8, files, host=own // 3 * 8)
        keys = iter(sampler)
        for epoch in range(epochs):
            for _ in range(sampler.batches):
                batch = [(index, ) for index, _ in islice(keys, size)]
                missing = cache.missing(batch)
                misses[epoch] += len(missing)
                feature = {'x': torch.tensor([[float(batch[row][0])] * 2 for row in missing])}
                if missing:
                    cache.put([batch[row] for row in missing], feature)
                found = cache.read(batch, 'cpu', missing, feature if missing else None)
                assert found['x'][:, 0].tolist() == [index for index, in batch]
        stored += len(cache)
        cache.close()
    return misses, stored


@pytest.mark.parametrize('world_size', [1, 2, 4])
def test_the_second_epoch_computes_nothing(tmp_path, world_size):
    misses, stored = epochs_of_misses(96, world_size, 3, tmp_path)
    assert misses == [96, 0, 0] and stored == 96


@pytest.mark.parametrize('world_size', [1, 2, 4])
def test_samples_that_an_epoch_leaves_out_are_computed_once(tmp_path, world_size):
    misses, stored = epochs_of_misses(99, world_size, 12, tmp_path)
    assert misses[0] == 96 and sum(misses) == stored == 99


@pytest.mark.parametrize('world_size', [1, 2, 4])
def test_all_that_fits_is_read(tmp_path, world_size):
    misses, stored = epochs_of_misses(96, world_size, 3, tmp_path, disk=0)
    assert stored == 64 and misses == [96, 32, 32]
