"""What is read once: in a whole run, too."""

import copy
from collections import Counter
from itertools import islice

import pytest
import torch
from mmengine.structures import BaseDataElement, PixelData
from mmseg.structures import SegDataSample
from torch.utils.data import DataLoader, Dataset

from skd_mm.datasets.sample_cache import PhaseLoader, SampleCache, ValidationLoader
from skd_mm.datasets.seeded import PhaseSampler, SeededDataset


class Images(Dataset):
    """Counts how often each is read."""

    def __init__(self, count=7, loads=None):
        self.count, self.reads = count, Counter()

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.reads[index] += 1
        truth = PixelData(data=torch.full((1, 2, 2), index))
        return dict(inputs=torch.full((3, 2, 2), index, dtype=torch.uint8), data_samples=SegDataSample(
            gt_sem_seg=truth, metainfo=dict(img_path=f'{index}.png')))


def listed(samples):
    return {key: [sample[key] for sample in samples] for key in samples[0]}


def loader(images, kept, start=0, views=None, workers=0):
    sampler = PhaseSampler(range(len(images)), 2, seed=0, phase=1, start=start, views=views)
    return PhaseLoader(DataLoader(SeededDataset(images), 2, sampler=sampler, collate_fn=listed, num_workers=workers,
                                  drop_last=True), kept)


def seen(batches, count):
    return [([int(image.max()) for image in batch['inputs']], [int(sample.gt_sem_seg.data.max())
                                                               for sample in batch['data_samples']],
             [sample.metainfo['skd_mm_index'] for sample in batch['data_samples']])
            for batch in islice(batches, count)]


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize('start', [0, 4])
def test_the_same_batches_from_files_that_are_read_once(start, workers):
    images, kept = Images(), SampleCache(2**20)
    expected = seen(loader(Images(), SampleCache(0), start), 40)
    assert seen(loader(images, kept, start, workers=workers), 40) == expected
    assert all((index, ) in kept for index in range(7)) and kept.bytes == 7 * (3 * 4 + 4 * 8)
    if not workers:
        # An epoch leaves one of seven out; the epochs until it comes are read from the files.
        assert max(images.reads.values()) < 6
    again = Images()
    assert seen(loader(again, kept, start), 40) == expected  # the next phase
    assert not again.reads


def test_each_view_is_read_once():
    images, kept = Images(6), SampleCache(2**20)
    seen(loader(images, kept, views=3), 60)
    assert set(images.reads.values()) == {3}
    assert (5, 2) in kept and (5, ) not in kept


def test_where_not_all_fit_none_are_kept():
    images, kept = Images(), SampleCache(100)
    assert seen(loader(images, kept), 40) == seen(loader(Images(), SampleCache(0)), 40)
    assert kept.bytes == 0 and (0, ) not in kept and sum(images.reads.values()) == 80


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize('start', [0, 4])
def test_what_is_given_up_when_all_was_kept_is_read_from_where_the_phase_stands(start, workers):
    kept = SampleCache(2**20)
    seen(loader(Images(6), kept), 3)
    batches = iter(loader(Images(6), kept, start, workers=workers))
    found = seen(batches, 5)
    kept.give_up('a validation has no room')
    assert found + seen(batches, 8) == seen(loader(Images(6), SampleCache(0), start), 13)


def test_what_is_kept_is_looked_for_once(monkeypatch):
    kept, asked = SampleCache(2**20), []
    seen(loader(Images(6), kept), 3)
    monkeypatch.setattr(SampleCache, '__contains__', lambda self, key: asked.append(key) or key in self._samples)
    seen(loader(Images(6), kept), 30)
    assert len(asked) == 6 + 29 * 2


@pytest.mark.parametrize('limit', [0, 2**20])
@pytest.mark.parametrize('views', [None, 2])
@pytest.mark.parametrize('start', [0, 4])
def test_the_next_batch_is_announced_before_each_batch(limit, views, start):
    announced, seen = [], []
    phase = loader(Images(), SampleCache(limit), start, views)
    phase.announce = announced.append
    for batch in islice(phase, 20):
        samples = [sample.metainfo for sample in batch['data_samples']]
        seen.append([(info['skd_mm_index'], *([info['skd_mm_view']] if views else [])) for info in samples])
        assert len(announced) == len(seen)
    assert announced[:-1] == seen[1:]


def test_batches_of_another_kind_are_not_kept():
    class Odd(Images):

        def __getitem__(self, index):
            return super().__getitem__(index)['inputs']

    kept = SampleCache(2**20)
    sampler = PhaseSampler(range(4), 2, seed=0, phase=0)
    batches = iter(PhaseLoader(DataLoader(SeededDataset(Odd(4)), 2, sampler=sampler), kept))
    assert [next(batches).shape for _ in range(5)] == [(2, 3, 2, 2)] * 5 and kept.bytes == 0


def test_what_is_handed_out_is_the_receivers_own():
    kept = SampleCache(2**20)
    sample = dict(inputs=[torch.zeros(3)], data_samples=[BaseDataElement(metainfo=dict(a=1), x=torch.ones(2))])
    kept.keep('key', sample)
    sample['inputs'][0] += 1
    one = kept.get('key')
    one['data_samples'][0].prediction = torch.zeros(1)
    one['data_samples'][0].set_metainfo(dict(a=2))
    one['inputs'].append(None)
    other = kept.get('key')
    assert len(other['inputs']) == 1 and not other['inputs'][0].any()
    assert 'prediction' not in other['data_samples'][0] and other['data_samples'][0].a == 1
    assert copy.copy(kept)


def test_a_change_in_place_is_noticed():
    kept = SampleCache(2**20)
    kept.keep('key', dict(inputs=torch.zeros(3)))
    kept.get('key')['inputs'].mul_(2)
    with pytest.raises(RuntimeError, match='changed in place'):
        kept.get('key')


def test_a_validation_is_read_once():
    images, kept = Images(), SampleCache(2**20)
    validation = ValidationLoader(DataLoader(images, 2, collate_fn=listed), kept)
    found = [[[int(image.max()) for image in batch['inputs']] for batch in validation] for _ in range(3)]
    assert found == [[[0, 1], [2, 3], [4, 5], [6]]] * 3 and set(images.reads.values()) == {1}
    assert validation.dataset is images and len(validation) == 4
