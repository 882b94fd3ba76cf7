import copy
import random
from itertools import islice

import numpy as np
import pytest
import torch
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset, pseudo_collate
from mmengine.registry import TRANSFORMS, init_default_scope
from torch import nn
from torch.utils.data import DataLoader

from skd_mm.datasets.seeded import NamedDataset, PhaseSampler, SeededDataset, check_deterministic, slot_groups
from skd_mm.utils import derive_seed
from tests.helpers import PIPELINE, RANDOM, READS, ToySegDataset


def take(count, **kwargs):
    cfg = {**dict(indices=range(10), batch_size=2, seed=0, phase=0), **kwargs}
    return list(islice(iter(PhaseSampler(**cfg)), count))


def indices(keys):
    return [index for index, _ in keys]


# The sampler

def test_an_epoch_is_whole_batches_of_a_fresh_permutation():
    epochs = [indices(take(40, indices=range(100, 111), batch_size=4))[i:i + 8] for i in range(0, 40, 8)]
    for epoch in epochs:
        assert len(set(epoch)) == 8 and set(epoch) <= set(range(100, 111))
    assert len({tuple(epoch) for epoch in epochs}) == 5
    assert len({index for epoch in epochs for index in epoch}) == 11  # what is dropped differs


def test_its_length_is_that_of_an_epoch():
    assert len(PhaseSampler(range(11), 4, seed=0, phase=0)) == 8
    assert len(PhaseSampler(range(11), 2, seed=0, phase=0, world_size=2)) == 4


def test_seed_phase_and_epoch_decide():
    assert take(30) == take(30)
    for part in (indices, lambda keys: [seed for _, seed in keys]):
        assert len({tuple(part(take(30, **changes))) for changes in ({}, dict(seed=1), dict(phase=1))}) == 3


def test_every_sample_has_its_own_random_state():
    keys = take(50)
    assert len({seed for _, seed in keys}) == 50
    assert keys[13][1] == derive_seed(0, 0, 1, 3)  # seed, phase, epoch, position in the epoch


@pytest.mark.parametrize('start', [0, 1, 4, 5, 6, 13])
@pytest.mark.parametrize('rank', [0, 1])
def test_a_start_in_the_middle_is_what_skipping_would_give(start, rank):
    shared = dict(indices=range(20), rank=rank, world_size=2)
    assert take(30, start=start, **shared) == take(30 + 2 * start, **shared)[2 * start:]


@pytest.mark.parametrize('start', [0, 3])
def test_two_processes_see_what_one_sees(start):
    whole = take(60, batch_size=4, indices=range(19), start=start)
    halves = [take(30, batch_size=2, indices=range(19), start=start, rank=rank, world_size=2) for rank in range(2)]
    for i in range(15):
        assert halves[0][2 * i:2 * i + 2] + halves[1][2 * i:2 * i + 2] == whole[4 * i:4 * i + 4]


@pytest.mark.parametrize('samples', [19, 24, 12])
def test_a_sample_belongs_to_one_process_for_the_whole_phase(samples):
    epochs, per_epoch = 9, samples // 8 * 8
    whole = take(epochs * per_epoch, batch_size=8, indices=range(samples))
    for world_size in (2, 4, 8):
        size = 8 // world_size
        ranks = [take(epochs * per_epoch // world_size, batch_size=size, indices=range(samples), rank=rank,
                      world_size=world_size) for rank in range(world_size)]
        together = [key for i in range(0, len(ranks[0]), size) for keys in ranks for key in keys[i:i + size]]
        assert together == whole
        seen = [set(indices(keys)) for keys in ranks]
        assert sum(map(len, seen)) == len(set().union(*seen)) == samples
        for rank, found in enumerate(seen):
            sampler = PhaseSampler(range(samples), size, 0, 0, rank=rank, world_size=world_size)
            assert {index for index, in sampler.samples()} == found


def test_all_samples_of_an_epoch_differ_and_each_batch_is_new():
    keys = indices(take(24 * 6, batch_size=8, indices=range(24)))
    epochs = [keys[i:i + 24] for i in range(0, len(keys), 24)]
    assert all(sorted(epoch) == list(range(24)) for epoch in epochs)
    assert len({tuple(sorted(epoch[:8])) for epoch in epochs}) == 6


def test_only_the_samples_that_fill_no_batch_change_their_slot_between_phases():
    phases = [slot_groups(range(19), 8, seed=0, phase=phase) for phase in range(6)]
    for groups in phases:
        assert sorted(np.concatenate(groups)) == list(range(19))
        assert sorted(map(len, groups)) == [2] * 5 + [3] * 3
    slots = [{index: slot for slot, group in enumerate(groups) for index in group.tolist()} for groups in phases]
    moved = {index for index in range(19) if len({where[index] for where in slots}) > 1}
    assert len(moved) == 3
    assert slots[0] != {index: slot for slot, group in enumerate(slot_groups(range(19), 8, seed=1, phase=0))
                        for index in group.tolist()}


@pytest.mark.parametrize(('share', 'repeated'), [(1, 5), (2, 6), (3, 40)])
def test_a_second_kind_of_samples_fills_its_slots(share, repeated):
    # 21 samples of the first kind, and those of the second kind from 100 on.
    second = dict(indices=range(21), repeated=range(100, 100 + repeated))
    length = 21 // (4 - share)
    whole = take(4 * length * 3, batch_size=4, repeated_per_batch=share, **second)
    epochs = [indices(whole[i:i + 4 * length]) for i in range(0, len(whole), 4 * length)]
    for epoch in epochs:
        first, other = ([index for index in epoch if (index >= 100) is kind] for kind in (False, True))
        assert len(set(first)) == len(first) == (4 - share) * length
        assert len(set(other)) == min(len(other), repeated // share * share) or repeated % share
        for i in range(length):
            assert sum(index >= 100 for index in epoch[4 * i:4 * i + 4]) == share
    assert epochs[0] != epochs[1]
    assert PhaseSampler(batch_size=4, seed=0, phase=0, repeated_per_batch=share, **second).batches == length
    assert take(12, batch_size=4, repeated_per_batch=share, start=3, **second) == whole[12:24]
    samples = {index for index, in PhaseSampler(batch_size=4, seed=0, phase=0, repeated_per_batch=share,
                                                **second).samples()}
    assert samples == {*range(21), *range(100, 100 + repeated)}


def test_two_processes_see_the_same_samples_of_both_kinds():
    cfg = dict(indices=range(24), repeated=range(100, 108))
    whole = take(64, batch_size=4, repeated_per_batch=2, **cfg)
    halves = [take(32, batch_size=2, repeated_per_batch=1, rank=rank, world_size=2, **cfg) for rank in range(2)]
    for i in range(16):
        assert halves[0][2 * i:2 * i + 2] + halves[1][2 * i:2 * i + 2] == whole[4 * i:4 * i + 4]


def test_fewer_samples_than_a_batch_are_refused():
    with pytest.raises(ValueError, match=r'1 training samples are fewer than one batch \(2 samples'):
        PhaseSampler(range(9), 4, seed=0, phase=0, repeated=[9], repeated_per_batch=2)
    with pytest.raises(ValueError, match=r'3 training samples are fewer than one batch \(2 samples × 2 processes\)'):
        PhaseSampler(range(3), 2, seed=0, phase=0, world_size=2)
    assert len(PhaseSampler(range(4), 2, seed=0, phase=0, world_size=2)) == 2


def test_views_take_turns():
    epochs = [take(8, views=3, indices=range(8))] + [take(8 * (i + 1), views=3, indices=range(8))[8 * i:]
                                                     for i in range(1, 7)]
    for i, epoch in enumerate(epochs):
        assert {view for _, _, view in epoch} == {i % 3}
        assert sorted(epoch) == sorted(epochs[i % 3]) and (i < 3 or epoch != epochs[i % 3])
    assert len({seed for epoch in epochs for _, seed, _ in epoch}) == 3 * 8
    # A view is the same in every phase, wherever it stands.
    assert sorted(take(8, views=3, indices=range(8), phase=4)) == sorted(epochs[0])


# The data set

class Noise:
    """Draws from every global generator."""

    metainfo = dict(classes=('a', ))

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return index, random.random(), np.random.rand(), torch.rand(1).item()


def test_a_sample_is_a_function_of_its_key():
    dataset = SeededDataset(Noise())
    first = dataset[3, 7]
    dataset[1, 2]
    assert dataset[3, 7] == first
    assert dataset[3, 8][1:] != first[1:] and first[0] == 3
    assert all(a != b for a, b in zip(dataset[3, 8][1:], first[1:], strict=True))


def test_it_is_as_long_and_means_the_same():
    dataset = SeededDataset(Noise())
    assert len(dataset) == 5 and dataset.metainfo == dict(classes=('a', ))


def load(workers, start=0, count=6, pipeline=RANDOM):
    init_default_scope('mmseg')
    dataset = SeededDataset(ToySegDataset(images=8, pipeline=pipeline))
    sampler = PhaseSampler(range(8), 3, seed=0, phase=1, start=start)
    loader = DataLoader(dataset, batch_size=3, sampler=sampler, num_workers=workers, drop_last=True,
                        collate_fn=pseudo_collate)
    batches = []
    for batch in islice(loader, count):
        names = [sample.metainfo['img_path'] for sample in batch['data_samples']]
        batches.append((torch.stack(batch['inputs']), names))
    return batches


def equal(one, other):
    pairs = zip(one, other, strict=True)
    return all(torch.equal(images, others) and names == same for (images, names), (others, same) in pairs)


def test_the_number_of_workers_makes_no_difference():
    assert equal(load(0), load(2))


def test_a_loader_that_starts_in_the_middle_reads_nothing_before_and_gives_the_same():
    whole = load(0)
    READS.clear()
    assert equal(load(0, start=4, count=2), whole[4:])
    assert len(READS) == 6


def test_random_pipelines_are_random():
    first, second = load(0)[:2], load(0, start=2)[:2]
    by_name = {}
    for images, names in (*first, *second):
        for image, name in zip(images, names, strict=True):
            by_name.setdefault(name, []).append(image)
    assert any(not torch.equal(images[0], image) for images in by_name.values() for image in images[1:])


def test_a_sample_carries_its_index():
    init_default_scope('mmseg')
    dataset = SeededDataset(ToySegDataset(images=8, first=100, pipeline=PIPELINE))
    sample = dataset[5, 0]['data_samples']
    assert sample.metainfo['skd_mm_index'] == 5 and sample.metainfo['img_path'] == 'images/105.png'


# What may be cached

def test_a_deterministic_pipeline_passes():
    init_default_scope('mmseg')
    check_deterministic(ToySegDataset(pipeline=PIPELINE), nn.Identity())
    pipeline = [dict(type='Resize', scale=(8, 8)), *PIPELINE]
    check_deterministic(ToySegDataset(pipeline=pipeline), nn.Identity())


@pytest.mark.parametrize('name', ['RandomFlip', 'PhotoMetricDistortion'])
def test_a_random_one_is_refused_by_name(name):
    init_default_scope('mmseg')
    dataset = ToySegDataset(pipeline=RANDOM)
    for one in (dataset, ConcatDataset([ToySegDataset(pipeline=PIPELINE), dataset])):
        with pytest.raises(ValueError, match=rf'schedule\.cache needs the same image .*{name}'):
            check_deterministic(one, nn.Identity())


def test_views_may_be_random():
    init_default_scope('mmseg')
    check_deterministic(ToySegDataset(pipeline=RANDOM), nn.Identity(), views=2)


def test_what_nobody_knows_is_refused():
    init_default_scope('mmseg')

    @TRANSFORMS.register_module(name='ToyOwn', force=True)
    class ToyOwn:

        def __call__(self, results):
            return results

    with pytest.raises(ValueError, match='ToyOwn'):
        check_deterministic(ToySegDataset(pipeline=[dict(type='ToyOwn'), *PIPELINE]), nn.Identity())


def test_an_image_that_is_replaced_if_it_cannot_be_loaded_is_refused():
    init_default_scope('mmseg')
    for ignore in (False, True):
        dataset = ToySegDataset(pipeline=[dict(type='LoadImageFromFile', ignore_empty=ignore), *PIPELINE])
        if not ignore:
            check_deterministic(dataset, nn.Identity())
            continue
        with pytest.raises(ValueError, match=r'LoadImageFromFile\(ignore_empty=True\)'):
            check_deterministic(dataset, nn.Identity())
        check_deterministic(dataset, nn.Identity(), views=2)


def test_repeated_data_sets_are_opened():
    init_default_scope('mmseg')
    check_deterministic(RepeatDataset(ToySegDataset(pipeline=PIPELINE), 2), nn.Identity())
    nested = ConcatDataset([ToySegDataset(pipeline=PIPELINE), ToySegDataset(pipeline=RANDOM)])
    for one in (RepeatDataset(ToySegDataset(pipeline=RANDOM), 2), ClassBalancedDataset.__new__(ClassBalancedDataset)):
        one.dataset = nested
        with pytest.raises(ValueError, match='RandomFlip'):
            check_deterministic(one, nn.Identity())


def test_batch_augmentation_is_refused():
    from mmpretrain.models import ClsDataPreprocessor
    init_default_scope('mmpretrain')
    plain = ClsDataPreprocessor(num_classes=2)
    mixed = ClsDataPreprocessor(num_classes=2, batch_augments=dict(augments=dict(type='Mixup', alpha=1.)))
    init_default_scope('mmseg')
    dataset = ToySegDataset(pipeline=PIPELINE)
    check_deterministic(dataset, plain)
    for views in (None, 2):
        with pytest.raises(ValueError, match='batch_augments'):
            check_deterministic(dataset, mixed, views)


def test_a_transform_inside_another_is_found():
    init_default_scope('mmseg')
    pipeline = [dict(type='RandomApply', transforms=[dict(type='RandomFlip', prob=1.)], prob=0.5), *PIPELINE]
    with pytest.raises(ValueError, match='RandomApply'):
        check_deterministic(ToySegDataset(pipeline=pipeline), nn.Identity())


def test_a_data_set_whose_pipeline_cannot_be_seen_is_refused():
    with pytest.raises(ValueError):
        check_deterministic(Noise(), nn.Identity())


def test_hooks_see_the_data_set_behind_it():

    class Inner(list):
        CLASSES = ('a', 'b')

        def get_gt_labels(self):
            return [0, 1]

    for outer in (SeededDataset(Inner([1, 2])), NamedDataset(Inner([1, 2]))):
        assert outer.CLASSES == ('a', 'b') and outer.get_gt_labels() == [0, 1]
        assert not hasattr(outer, '__getitems__') and not hasattr(outer, 'classes')
        assert copy.copy(outer).CLASSES == ('a', 'b')
