"""What the variants run, and that they train the same weights."""

from skd_mm.analysis.benchmark import Variant
from tests.helpers import calls, differing, quick, state


def train(variant, index, count=3):
    variant.begin(index)
    for _, batch in zip(range(count), variant.loop.dataloader, strict=False):
        variant.step(batch)


def test_naive_runs_both_networks_to_their_ends_for_the_same_weights(cfg):
    found = []
    for naive in (False, True):
        with quick():
            variant = Variant(cfg(), 0, full_forward=naive)
        with calls(variant.distiller.teacher, variant.distiller.student) as (teacher, student):
            train(variant, 1)
        assert (teacher['backbone.layers.2'], student['backbone.layers.2']) == ((3, 3) if naive else (0, 0))
        found.append(state(variant.distiller.student))
    assert not differing(*found)


def test_naive_runs_no_teacher_without_a_spot(cfg):
    with quick():
        variant = Variant(cfg(), 0, full_forward=True)
    with calls(variant.distiller.teacher, variant.distiller.student) as (teacher, student):
        train(variant, 3)
        assert student['backbone.layers.2'] == 3
        variant.runner.model.eval()
        variant.val_step(next(iter(variant.runner.val_loop.dataloader)))
    assert not teacher
