import copy
import shutil

import pytest
import torch
from torch import nn

from skd_mm.features import Execution, FeatureExtractor
from tests.helpers import SPOTS, batch, build_distiller, calls, network, total, unet

# The graph is captured as for any backend, and then run as it is.
QUICK = dict(backend='eager')


class Block(nn.Module):

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(self.conv(x)).relu() * 2


def chain():
    torch.manual_seed(0)
    return nn.ModuleDict(dict(model=nn.Sequential(Block(), nn.Sequential(Block(), nn.Dropout(0.5)), Block())))


def paths(execution, model, hooked=()):
    names = {module: name for name, module in model.named_modules()}
    return [names[module] for module, _ in execution.forwards(model, hooked)]


def test_what_is_looked_into_is_run_as_it_is():
    model = chain()
    whole = Execution(compile=True)
    assert paths(whole, model) == ['model']
    assert paths(whole, model, ['model']) == ['model']
    assert paths(whole, model, ['model.1']) == ['model.0', 'model.1', 'model.2']
    assert paths(whole, model, ['model.1.0.conv']) == ['model.0', 'model.2']
    blocks = Execution(gradient_checkpointing=True)
    assert paths(blocks, model) == ['model.0', 'model.1.0', 'model.2']
    assert paths(blocks, model, ['model.1', 'model.0.norm']) == ['model.1.0', 'model.2']
    assert paths(Execution(), model) == []


def run(model, execution, steps=3):
    """Trains; gives outputs, gradients, buffers."""
    torch.manual_seed(1)
    found = []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        x = torch.randn(2, 3, 4, 4)
        extractor = FeatureExtractor(model, execution=execution)
        output, features = extractor.run(lambda x=x: model['model'](x), capture=['model.1'])
        (output.square().mean() + features['model.1'].mean()).backward()
        found += [output.detach(), features['model.1'].detach(), *(p.grad.clone() for p in model.parameters())]
        optimizer.step()
        optimizer.zero_grad()
    return [*found, *model.state_dict().values()]


def test_activations_that_are_computed_anew_are_the_same_to_the_bit():
    plain, again = run(chain(), Execution()), run(chain(), Execution(gradient_checkpointing=True))
    for one, other in zip(plain, again, strict=True):
        assert torch.equal(one, other)


def test_blocks_are_run_again_in_the_backward_only_where_they_learn():
    model = chain()
    network_ = FeatureExtractor(model, execution=Execution(gradient_checkpointing=True))

    def count():
        with calls(model) as counts:
            output, _ = network_.run(lambda: model['model'](torch.randn(2, 3, 4, 4)))
            if output.requires_grad:
                output.sum().backward()
        return counts['model.0.conv'], counts['model.2.conv']

    assert count() == (2, 2)
    model['model'][0].eval()
    assert count() == (1, 2)
    with torch.no_grad():
        assert count() == (1, 1)


@pytest.mark.parametrize('arguments', [
    QUICK, pytest.param(True, marks=[pytest.mark.slow, pytest.mark.skipif(
        not shutil.which('g++'), reason='the default backend of torch.compile needs a C++ compiler')])])
def test_compiled_is_eager(arguments):
    models = [chain(), chain()]
    if arguments is True:  # which draws other masks
        for model in models:
            model['model'][1][1].p = 0.
    plain, compiled = run(models[0], Execution()), run(models[1], Execution(compile=arguments))
    for one, other in zip(plain, compiled, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_copy_runs_its_own_modules():
    execution = Execution(compile=QUICK)
    model = chain().eval()
    x = torch.randn(2, 3, 4, 4)
    one = FeatureExtractor(model, execution=execution)
    before = one.run(lambda: model['model'](x))[0]
    other = copy.deepcopy(one)
    for parameter in other.model.parameters():
        parameter.data.zero_()
    assert not other.run(lambda: other.model['model'](x))[0].any()
    torch.testing.assert_close(one.run(lambda: model['model'](x))[0], before)
    assert not any('forward' in module.__dict__ for module in model.modules())


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"torch\.compile takes no 'back'; did you mean 'backend'"):
        Execution(compile=dict(back='inductor'))
    with pytest.raises(ValueError, match='`compile` is incompatible with `gradient_checkpointing`'):
        Execution(compile=True, gradient_checkpointing=True)
    with pytest.raises(ValueError, match=r'the student \(Block\) has no blocks'):
        Execution(gradient_checkpointing=True).check(Block(), 'student')


# In a distiller, from phase to phase

PHASES = [([SPOTS[0]], [SPOTS[0]], 0), ([SPOTS[1]], [SPOTS[1]], 0), (['task_head'], [], 1), (['all'], SPOTS, 1)]


def phases(make, half=False):
    distiller = make()
    found = []
    for phase in PHASES:
        distiller.activate(*phase)
        optimizer = torch.optim.SGD(distiller.trainable().values(), lr=0.05)
        for seed in range(2):
            distiller.train()
            inputs, samples = batch(seed=seed)
            torch.manual_seed(seed)
            with torch.autocast('cpu', enabled=half):
                losses = distiller(inputs, samples, mode='loss')
            found.append(total(losses).detach())
            total(losses).backward()
            optimizer.step()
            optimizer.zero_grad()
        distiller.eval()
        with torch.no_grad():
            result = distiller(*batch(seed=9), mode='predict')[0]
        found.append(torch.tensor(list(result.metainfo['spot_losses'].values())) if 'spot_losses' in result.metainfo
                     else result.seg_logits.data)
    return [*found, *distiller.student.state_dict().values()]


@pytest.mark.parametrize('half', [False, True])
@pytest.mark.parametrize('options', [
    pytest.param(dict(compile=QUICK), marks=pytest.mark.slow), dict(gradient_checkpointing=True),
    dict(channels_last=True)])
def test_an_option_holds_in_every_phase_and_changes_no_result(options, half):
    # The mask of a dropout goes by the order of the elements in memory.
    student = network(dropout=0. if 'channels_last' in options else 0.2)
    plain = phases(lambda: build_distiller(student, network()), half)
    other = phases(lambda: build_distiller(student, network(), **options), half)
    for one, two in zip(plain, other, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)


def test_channels_last_stays_through_all_phases():
    distiller = build_distiller(unet(), unet(), ['backbone.layer1'], channels_last=True)
    seen = []
    for model in (distiller.student, distiller.teacher):
        model.backbone.layer1.register_forward_hook(lambda module, inputs, output: seen.append(output))
    distiller.activate(['backbone.layer1'], ['backbone.layer1'])
    distiller.load_state_dict(copy.deepcopy(distiller.state_dict()))
    distiller.train()
    distiller(*batch(side=32), mode='loss')
    assert len(seen) == 2 and all(output.is_contiguous(memory_format=torch.channels_last) for output in seen)
