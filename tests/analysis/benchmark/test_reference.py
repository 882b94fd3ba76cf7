"""The reference loop has the mathematics of a phase, so that it is a bound: the same weights come out of it."""

import copy

import pytest
import torch
from mmengine.structures import PixelData

from skd_mm.analysis.benchmark import Variant
from skd_mm.analysis.benchmark.reference import ReferenceLoop
from tests.helpers import SIDE, calls, differing, quick, state

ADAMW = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-2, weight_decay=0.1))


def compare(cfg, index, cached, prepare=lambda batch: batch):
    """Trains three batches both ways; gives the names of weights that differ, and the calls of the teacher."""
    with quick():
        variant = Variant(cfg, 1. if cached else 0)
    variant.begin(index)
    reference = ReferenceLoop(variant.distiller, variant.runner.optim_wrapper.optimizer, cached)
    batches = [prepare(batch) for _, batch in zip(range(3), variant.loop.dataloader, strict=False)]
    for batch in batches:
        variant.step(copy.deepcopy(batch))
    if cached:
        for batch in batches:
            reference.remember(batch, variant.distiller)
    with reference.hooked(), calls(reference.teacher) as teacher:
        for batch in batches:
            reference.step(batch)
    return differing(state(variant.distiller.student), state(reference.student)), teacher


@pytest.mark.parametrize('cached', [False, True])
@pytest.mark.parametrize('index', [0, 1, 3])
def test_it_trains_the_same_weights(cfg, index, cached):
    names, teacher = compare(cfg(param_scheduler=[]), index, cached)
    assert names == []
    assert bool(teacher) == (not cached and index < 3)


def test_an_optimizer_with_defaults_that_it_does_not_take(cfg):
    assert compare(cfg(param_scheduler=[], optim_wrapper=ADAMW), 1, cached=False)[0] == []


def crop(*rows):
    """Gives what makes images of a batch smaller, as after a random resize below the crop size."""

    def prepare(batch):
        batch = copy.deepcopy(batch)
        batch['inputs'] = list(batch['inputs'])
        small = SIDE - 4
        for row in rows:
            sample = batch['data_samples'][row]
            batch['inputs'][row] = batch['inputs'][row][:, :small, :small].clone()
            sample.gt_sem_seg = PixelData(data=sample.gt_sem_seg.data[:, :small, :small].clone())
            sample.set_metainfo(dict(img_shape=(small, small)))
        return batch

    return prepare


@pytest.mark.parametrize('rows', [(1,), (0, 1, 2, 3)])
@pytest.mark.parametrize('index', [1, 3])
def test_images_below_the_size_of_the_crop_are_padded_as_in_a_run(cfg, index, rows):
    assert compare(cfg(param_scheduler=[]), index, cached=False, prepare=crop(*rows))[0] == []


def test_hooks_of_the_shared_teacher_are_removed(cfg):
    with quick():
        variant = Variant(cfg(), 0)
    variant.begin(1)
    reference = ReferenceLoop(variant.distiller, variant.runner.optim_wrapper.optimizer, cached=False)
    assert reference.teacher is variant.distiller.teacher
    with pytest.raises(Exception), reference.hooked():  # noqa: B017  (the one that ends its forward pass)
        reference.teacher(torch.zeros(2, 3, SIDE, SIDE))
    reference.teacher(torch.zeros(2, 3, SIDE, SIDE))
