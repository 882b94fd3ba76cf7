"""As many samples as ImageNet has, on 32 processes: times and memory of what depends on their number."""

import time
import tracemalloc

import numpy as np
import pytest
from mmengine.dataset import BaseDataset

from skd_mm.datasets.fraction import fractions_of, sample_names
from skd_mm.datasets.seeded import PhaseSampler
from skd_mm.features import FeatureCache, fingerprint, samples_of

pytestmark = pytest.mark.slow
SAMPLES, PROCESSES = 1281167, 32
FOLDER = '/nowhere/imagenet/train'


class Names(BaseDataset):
    """Names of files that do not exist."""

    def __init__(self):
        super().__init__(data_prefix=dict(img_path=FOLDER), pipeline=[])

    def load_data_list(self):
        return [dict(img_path=f'{FOLDER}/n{i % 1000:08d}/n{i % 1000:08d}_{i}.JPEG', gt_label=i % 1000)
                for i in range(SAMPLES)]


@pytest.fixture(scope='module')
def dataset():
    return Names()


def test_a_run_starts_within_20_seconds(dataset):
    """Fractions and the hash of the samples, which rank 0 computes once per run; CPU time."""
    start = time.process_time()
    indices = fractions_of(dataset, [0.1, 1.0])
    fractions = time.process_time() - start
    fingerprint(samples_of(dataset, indices[1.0]))
    total = time.process_time() - start
    print(f'fractions {fractions:.1f} s, with the hash of the samples {total:.1f} s')
    assert total < 20


def test_a_phase_changes_within_10_seconds(dataset):
    start = time.process_time()
    sampler = PhaseSampler(np.arange(SAMPLES), 8, 0, 1, world_size=PROCESSES)
    next(iter(sampler))
    order = time.process_time() - start
    sample_names(dataset, np.arange(0, SAMPLES, 10))
    print(f'sampler {order:.2f} s, with names of a tenth {time.process_time() - start:.2f} s')
    assert time.process_time() - start < 10


def test_a_process_needs_memory_for_its_own_samples_alone():
    tracemalloc.start()
    sampler = PhaseSampler(np.arange(SAMPLES), 8, 0, 1, world_size=PROCESSES)
    cache = FeatureCache(2**30)
    own = [index for index, in sampler.samples()]
    before = tracemalloc.get_traced_memory()[0]
    for first in range(0, len(own), 8):
        cache.put([('skd_mm_index', index, None, 3, 224, 224) for index in own[first:first + 8]], {})
    added = tracemalloc.get_traced_memory()[0] - before
    held = sum(group.nbytes for group in sampler._groups)
    tracemalloc.stop()
    print(f'sampler {held / 2**20:.2f} MiB, keys of the cache {added / 2**20:.1f} MiB')
    # Eight bytes per own sample; four bytes per sample of the data set, and a few hundred per batch.
    assert held <= 8 * (SAMPLES // PROCESSES + 8) and added < 6.5 * SAMPLES + 600 * len(own) // 8
