import pytest
import torch
from mmengine.optim import AmpOptimWrapper as MMEngineAmpOptimWrapper
from torch import nn

from skd_mm.engine.optimizers.amp_optim_wrapper import AmpOptimWrapper
from skd_mm.registry import OPTIM_WRAPPERS

cpu_only = pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has a GPU')
gpu_only = pytest.mark.skipif(not torch.cuda.is_available(), reason='this machine has no GPU')


def make(lr=0.5, device='cpu', **kwargs):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    return model, AmpOptimWrapper(optimizer=optimizer, **kwargs)


def step(model, wrapper, inputs):
    with wrapper.optim_context(model):
        outputs = model(inputs)
    wrapper.update_params(outputs.float().square().mean())
    return outputs


def test_is_named_in_a_config():
    model = nn.Linear(2, 2)
    cfg = {'type': 'skd_mm.AmpOptimWrapper', 'optimizer': torch.optim.SGD(model.parameters(), lr=0.1)}
    assert type(OPTIM_WRAPPERS.build(cfg)) is AmpOptimWrapper
    assert issubclass(AmpOptimWrapper, MMEngineAmpOptimWrapper)


@cpu_only
@pytest.mark.parametrize('dtype', [None, 'bfloat16', 'float16', torch.float16])
def test_casts_to_bfloat16_on_a_cpu_whatever_is_asked_for(dtype):
    model, wrapper = make(dtype=dtype, loss_scale=512.)
    before = [parameter.clone() for parameter in model.parameters()]
    assert step(model, wrapper, torch.randn(3, 4)).dtype == torch.bfloat16
    for parameter, old in zip(model.parameters(), before, strict=True):
        assert parameter.dtype == torch.float32
        assert not torch.equal(parameter, old)
    assert model(torch.randn(3, 4)).dtype == torch.float32


@cpu_only
def test_does_not_scale_the_loss_on_a_cpu():
    model, wrapper = make()
    loss = model(torch.randn(3, 4)).square().mean()
    expected = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    wrapper.backward(loss)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert torch.equal(parameter.grad, gradient)


@cpu_only
def test_accumulates_gradients():
    model, wrapper = make(accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 4)
    before = model[0].weight.clone()
    step(model, wrapper, torch.randn(3, 4))
    assert torch.equal(model[0].weight, before)
    step(model, wrapper, torch.randn(3, 4))
    assert not torch.equal(model[0].weight, before)


@cpu_only
def test_clips_gradients():
    model, wrapper = make(lr=1., clip_grad={'max_norm': 1e-3})
    before = [parameter.detach().clone() for parameter in model.parameters()]
    step(model, wrapper, 100 * torch.randn(3, 4))
    moved = torch.cat([(new - old).flatten() for new, old in zip(model.parameters(), before, strict=True)])
    assert moved.norm().item() == pytest.approx(1e-3, rel=1e-2)


@cpu_only
def test_state_of_a_cpu_run_has_no_scaler_and_a_gpu_runs_state_can_be_read():
    model, wrapper = make()
    step(model, wrapper, torch.randn(3, 4))
    state = wrapper.state_dict()
    assert 'loss_scaler' not in state
    _, other = make(lr=0.1)
    other.load_state_dict({**state, 'loss_scaler': {'scale': 65536., '_growth_tracker': 0}})
    assert other.optimizer.param_groups[0]['lr'] == 0.5


@gpu_only
def test_is_mmengines_own_with_a_gpu():
    model, wrapper = make(device='cuda', lr=0.5)
    torch.manual_seed(0)
    twin = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).cuda()
    reference = MMEngineAmpOptimWrapper(optimizer=torch.optim.SGD(twin.parameters(), lr=0.5))
    inputs = torch.randn(3, 4, device='cuda')
    assert step(model, wrapper, inputs).dtype == step(twin, reference, inputs).dtype == torch.float16
    for parameter, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(parameter, other)
    assert wrapper.state_dict()['loss_scaler'] == reference.state_dict()['loss_scaler']
