import copy
import gc

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from skd_mm.features import FeatureExtractor, split_stages
from skd_mm.features.dataflow import reached_parameters, trace_dataflow
from tests.helpers import Prepared


class Branches(nn.Module):
    """Two branches that run interleaved; the second alone is normalised for the output."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(2, 2)
        self.low = nn.Linear(2, 2)
        self.high = nn.Linear(2, 2)
        self.relu_high = nn.ReLU()
        self.drop = nn.Dropout(0.5)
        self.end = nn.Linear(2, 2)
        self.unused = nn.Linear(2, 2)
        self.with_cp = False

    def forward(self, x):
        x = self.stem(x)
        high = self.relu_high(self.high(x))  # runs before `low`, and `low` does not depend on it
        low = checkpoint(self.low, x, use_reentrant=True) if self.with_cp else self.low(x)
        return self.end(self.drop(low) + high)


X = torch.randn(1, 2)


def stages(model, cuts):
    split = split_stages(FeatureExtractor(model), lambda: model(X), cuts)
    return {stage.name: stage.modules for stage in split.stages}, split


def test_a_stage_owns_what_its_gradient_reaches_not_what_runs_before_its_end():
    model = Branches().eval()
    found, split = stages(model, ['low'])
    assert found == {'low': ('stem', 'low'), 'task_head': ('high', 'relu_high', 'drop', 'end', 'unused')}
    assert split.reached['low'] == {f'{name}.{kind}' for name in ('stem', 'low') for kind in ('weight', 'bias')}
    assert 'high.weight' in split.alive and 'unused.weight' not in split.alive


def test_checkpointed_activations_hide_no_parameter():
    model = Branches().eval()
    model.with_cp = True
    assert stages(model, ['low'])[0]['low'] == ('stem', 'low')
    assert model.with_cp is True


def test_parameters_that_the_config_freezes_have_a_stage_too():
    model = Branches().eval()
    model.stem.requires_grad_(False)
    assert stages(model, ['low'])[0]['low'] == ('stem', 'low')
    assert not any(parameter.requires_grad for parameter in model.stem.parameters())


def test_no_graph_stays_alive():
    model = Branches().eval()
    stages(model, ['low', 'end'])
    gc.disable()
    try:
        # Swapping the data of a parameter, as Module.to() may do, fails as long as a graph refers to it.
        assert all(parameter._use_count() == 1 for parameter in model.parameters())
    finally:
        gc.enable()


def test_weights_that_are_copied_for_eval_mode_have_a_stage_too():
    model = nn.Sequential(nn.Linear(2, 2), Prepared(), nn.BatchNorm1d(2), nn.Linear(2, 2)).eval()
    found = split_stages(FeatureExtractor(model), lambda: model(torch.ones(1, 2)), ['1'])
    assert found.stages[0].modules == ('0', '1') and '1.weight' in found.alive
    assert not model.training and model[2].num_batches_tracked == 0


def test_what_a_loss_reaches():
    model = Branches()
    losses = dict(a=model(X).sum(), b=[model.unused(X).sum()])
    assert reached_parameters(model, losses) == {name for name, _ in model.named_parameters()}
    assert 'unused.weight' not in reached_parameters(model, losses['a'])
    assert reached_parameters(model, torch.zeros(1)) == frozenset()


def test_a_module_that_is_not_called_is_no_feature():
    model = Branches()
    with pytest.raises(RuntimeError, match=r"these modules were not: \['unused'\]"):
        trace_dataflow(FeatureExtractor(model), lambda: model(X), ['unused'])


def zoo(scope, **cfg):
    from mmengine.registry import MODELS, init_default_scope
    init_default_scope(scope)
    return MODELS.build(cfg).eval()


def swin():
    return zoo('mmseg', type='EncoderDecoder', backbone=dict(
        type='SwinTransformer', embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 2, 2, 2), window_size=2,
        pretrain_img_size=32), decode_head=dict(
            type='UPerHead', in_channels=[8, 16, 32, 64], in_index=[0, 1, 2, 3], channels=8, num_classes=3,
            norm_cfg=dict(type='BN'), align_corners=False), train_cfg=dict(), test_cfg=dict(mode='whole'))


@pytest.mark.slow
def test_output_norms_of_a_transformer_belong_to_the_head_that_reads_them():
    model = swin()
    image = torch.zeros(1, 3, 64, 64)
    ends = [f'backbone.stages.{k}.blocks' for k in range(4)]
    ends = [f'{end}.0' for end in ends]
    split = split_stages(FeatureExtractor(model), lambda: model(image, mode='tensor'), ends)
    head = split.stages[-1]
    for k in range(4):
        assert f'backbone.norm{k}' in head.modules
    assert all(f'backbone.norm{k}.weight' not in split.reached[end] for k in range(4) for end in ends)
    assert 'backbone.norm0.weight' in split.alive


def test_features_that_are_changed_in_place_are_captured_as_copies():
    class Summed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)

        def forward(self, x):
            y = self.a(x)
            y += 1
            return self.b(y)

    net = FeatureExtractor(Summed())
    x = torch.ones(1, 1, 2, 2)
    trace_dataflow(net, lambda: net.model(x), ['a', 'b'])
    assert net.copied == {'a'} == copy.deepcopy(net).copied
    _, features = net.run(lambda: net.model(x), ['a', 'b'])
    torch.testing.assert_close(features['a'], net.model.a(x))
