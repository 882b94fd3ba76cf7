"""One step of a routed distiller, in one process or in each of two; ``test_equal_processes.py`` compares them."""

import os
from unittest import mock

import torch
import torch.distributed as torch_dist
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch import nn

from tests.helpers import SPOTS, batch, build_distiller, network, state

torch.set_num_threads(1)
LOGITS = dict(name='logits', student='decode_head.conv_seg', loss=dict(type='KDLoss'))
RELATIONS = dict(student=SPOTS[2], loss=dict(type='RKDLoss'), connector=dict(type='GlobalPool'),
                 teacher_connector=dict(type='GlobalPool'))


def still():
    """A network, and further below adapters, in which a sample's output does not depend on its batch."""
    cfg = network(norm_eval=True)
    cfg['decode_head']['norm_cfg'] = None
    return cfg


def step(reduction, spots):
    """The weights after two updates, in which a sample has the same noise wherever it is."""
    world, rank = int(os.environ.get('WORLD_SIZE', 1)), int(os.environ.get('RANK', 0))
    hints = [dict(student=name, connector='auto') for name in SPOTS[:2]]
    model = build_distiller(still(), network(widths=[4, 5, 6]), spots=[*hints, *spots, LOGITS], router=dict(
        gamma=2.0, keep_reduction=reduction)).double().train()
    for module in model.router.modules():
        if hasattr(module, 'bn'):
            module.bn = nn.Identity()
    if world == 1 and reduction == 'sum':
        # Each of two processes has half of the hinge of the whole batch, so that it weighs as it does on its own.
        whole = model.router.losses
        model.router.losses = lambda *args: {
            key: value / 2 if key == 'router.keep_loss' else value for key, value in whole(*args).items()}
    inputs, samples = batch(8)
    size = 8 // world
    part = slice(rank * size, (rank + 1) * size)
    wrapped = MMDistributedDataParallel(model) if world > 1 else model
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), 0.1))
    logs = []
    for number in range(2):
        def draw(self, number=number):
            generator = torch.Generator().manual_seed(number)
            return self.copy_(-torch.rand(8, *self.shape[1:], generator=generator).log()[part])

        with mock.patch.object(torch.Tensor, 'exponential_', draw):
            data = dict(inputs=inputs.double()[part], data_samples=samples[part])
            model.data_preprocessor.forward = lambda data, training=False: data
            log = wrapped.train_step(data, wrapper)
        logs.append({key: value.item() for key, value in log.items()})
    return dict(state=state(model), logs=logs)


def main(folder):
    """Writes down what each kind of step gives."""
    if 'WORLD_SIZE' in os.environ and not torch_dist.is_initialized():
        torch_dist.init_process_group('gloo')
    last = dict(student=SPOTS[2], connector='auto')
    result = {reduction: step(reduction, [last]) for reduction in ('sum', 'mean')}
    # No sample is distilled at a relational spot on one process: the backward pass must be the same on both.
    result['relational'] = step('sum', [RELATIONS])
    torch.save(result, folder / f'routed_{os.environ.get("WORLD_SIZE", 1)}_{os.environ.get("RANK", 0)}.pth')
