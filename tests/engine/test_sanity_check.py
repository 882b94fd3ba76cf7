"""What is wrong with the task is found before the first phase."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from skd_mm.engine import PhaseLoop
from skd_mm.engine.sanity_check import check_losses
from tests.helpers import config, differing, quick, state


@pytest.mark.parametrize(('changes', 'words'), [
    ({'model.student.decode_head.loss_decode': []},
     r"phase 'task_head' has a task, but the student \(model\.student\) has no loss for it; it returns \["),
    ({'model.student.data_preprocessor.size': [12, {}]},
     r'model\.student\.data_preprocessor cannot prepare the first training image: TypeError'),
    ({'model.student.decode_head.num_classes': 2},
     r'the student \(model\.student\) cannot be trained on the first training image: \w+Error'),
    ({'train_dataloader.dataset.pipeline': []},
     r'train_dataloader\.dataset\.pipeline must end with a transform that packs .* and no `inputs`'),
    ({'val_dataloader.dataset.pipeline': [dict(type='RandomFlip', prob=0.5)]},
     r'val_dataloader\.dataset\.pipeline must end with a transform that packs'),
    ({'val_evaluator.iou_metrics': [{}]},
     r'val_evaluator \(IoUMetric\(iou_metrics=\[\{\}\]\)\) cannot evaluate the first image of val_dataloader'),
    ({'val_evaluator.collect_device': 'tpu'}, r'val_evaluator .*: NotImplementedError: device must be .* tpu')])
def test_a_task_that_cannot_be_learnt_is_found_before_the_feature_phases(tmp_path, changes, words, monkeypatch):
    monkeypatch.setattr(PhaseLoop, 'run_phase', lambda self: pytest.fail('it trains'))
    with pytest.raises(ValueError, match=words), quick():
        Runner.from_cfg(config(tmp_path, changes)).train()
    assert not list(tmp_path.glob('*.pth'))


def test_the_metric_is_checked_in_the_phase_that_is_validated_by_it(tmp_path):
    """Another phase with the task loss is validated by its spots."""
    phases = [dict(name='a', train='all', task=1, spots=['backbone.layers.1'], val_metric='spot_loss', iters=1),
              dict(name='b', train='all', task=1, iters=1)]
    plateau = dict(type='ReduceOnPlateauLR', monitor='mIoU')
    with quick():
        loop = Runner.from_cfg(config(tmp_path / 'a', schedule=dict(type='Phases', phases=phases),
                                      param_scheduler=[plateau])).train_loop
        loop.check_task()
        hook = {'default_hooks.checkpoint': dict(type='skd_mm.PhaseCheckpointHook', save_best='mIuO')}
        wrong = Runner.from_cfg(config(tmp_path / 'b', hook, schedule=dict(type='Phases', phases=phases))).train_loop
        with pytest.raises(ValueError, match=r'mIuO.*mIoU'):
            wrong.check_task()


def test_a_memory_that_cannot_hold_a_batch_is_found_before_the_first_phase(tmp_path, monkeypatch):
    monkeypatch.setattr(PhaseLoop, 'run_phase', lambda self: pytest.fail('it trains'))
    spots = ['backbone.layers.1', dict(
        student='backbone.layers.2', connector=dict(type='GlobalPool'), teacher_connector=dict(type='GlobalPool'),
        loss=dict(type='QueueKDLoss'), memory=dict(type='VectorQueue', slots=3))]
    with pytest.raises(ValueError, match=r"phase 'backbone.layers.2', memory of spot 'backbone.layers.2': .*4 images"):
        Runner.from_cfg(config(tmp_path, {'model.spots': spots})).train()


def test_trying_the_task_changes_nothing(tmp_path):
    with quick():
        loop = Runner.from_cfg(config(tmp_path)).train_loop
    before = state(loop.distiller)
    learns = set(loop.distiller.trainable())
    drawn = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    loop.check_task()
    assert drawn == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert not differing(before, state(loop.distiller))
    assert set(loop.distiller.trainable()) == learns and loop.distiller.active.task == 0
    assert len(loop.distiller.active.spots) == 1


def test_a_measure_that_needs_more_than_an_image_is_left_to_the_validation(tmp_path, monkeypatch):

    def measure(self, results):
        raise ValueError('one image is not enough')

    monkeypatch.setattr('mmseg.evaluation.IoUMetric.compute_metrics', measure)
    with quick():
        loop = Runner.from_cfg(config(tmp_path)).train_loop
        loop.check_task()
    assert not [metric.results for metric in loop.validation.evaluator(loop.phases[-1]).metrics if metric.results]


class TrainsOnly(torch.nn.Module):
    """A model whose loss reads an output that exists in training mode only, with BN."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(1)
        self.student = self.forward
        self.calls = []

    def data_preprocessor(self, data, training):
        return dict(inputs=torch.stack([sample['inputs'] for sample in data]))

    def forward(self, inputs, mode):
        self.calls.append((len(inputs), self.training))
        outputs = (self.norm(inputs), inputs) if self.training else (self.norm(inputs),)
        _, second = outputs
        return dict(loss=second.sum())


def test_a_loss_that_needs_training_mode_is_tried_in_it_and_leaves_no_trace():
    samples = [dict(inputs=torch.tensor([value]), data_samples=None) for value in (1., 2.)]
    loader = SimpleNamespace(dataset=samples, collate_fn=list)
    model = TrainsOnly().eval()
    check_losses(model, loader, [0, 1], 'task_head')
    assert model.calls == [(1, False), (2, False), (2, True)]
    assert not model.training and model.norm.running_mean.item() == 0 and model.norm.num_batches_tracked == 0
