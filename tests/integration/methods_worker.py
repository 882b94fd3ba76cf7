"""Gradients of each segmentation method in one process or in each of two; ``test_equal_processes.py`` compares them."""

import copy
import os

import torch
import torch.distributed as torch_dist
from mmengine.model import MMDistributedDataParallel

from tests.helpers import batch, build_distiller, network, total
from tests.integration.ddp_worker import still
from tests.segmentation_methods import HOLISTIC, METHODS

# Masks are drawn in each process. With all slots in every comparison, what is drawn from a memory is all there is.
ALL_SLOTS = dict(pixel_slots=601, region_slots=21, pixel_keys=1800, region_keys=60, pixels_per_image=144)
SPOTS = copy.deepcopy(METHODS)
SPOTS['MGD']['connector']['mask_ratio'] = SPOTS['AfDCDLoss']['connector']['mask_ratio'] = 0.
SPOTS['CIRKDMemoryLoss']['memory'].update(ALL_SLOTS)
SPOTS['holistic'] = HOLISTIC


def gradients(method, batches):
    """Gradients of the mean loss over some batches, each in a model of its own with the same weights."""
    found = [batch_gradients(method, *parts) for parts in batches]
    return {name: sum(gradients[name] for gradients in found) / len(found) for name in found[0]}


def batch_gradients(method, inputs, samples):
    """Gradients of the loss of a batch; on several processes the mean over their batches."""
    spot = dict(SPOTS[method], name='spot')
    model = build_distiller(still(), network(width=6), spots=[spot]).double().train()
    model.activate('all', {'spot.discriminator': 1} if method == 'holistic' else ['spot'])
    if method == 'holistic':
        model.spots['spot'].discriminator.requires_grad_(False)
    model.spots['spot'].connector.eval()  # BN
    wrapped = MMDistributedDataParallel(model) if 'WORLD_SIZE' in os.environ else model
    losses, cases = wrapped(inputs.double(), samples, mode='adversarial')
    generator = [term.generator_loss(case).mean()
                 for (term, _), case in zip(model.active.discriminators, cases, strict=True)]
    (total(losses) + sum(generator)).backward()
    return {name: parameter.grad for name, parameter in model.trainable().items()}


def main(folder):
    """Save the gradients of this process."""
    inputs, samples = batch(4)
    halves = [(inputs[:2], samples[:2]), (inputs[2:], samples[2:])]
    rank = int(os.environ.get('RANK', 0))
    if 'WORLD_SIZE' in os.environ:
        if not torch_dist.is_initialized():
            torch_dist.init_process_group('gloo')
        found = {method: gradients(method, [halves[rank]]) for method in SPOTS}
    else:
        found = {method: (gradients(method, [(inputs, samples)]), gradients(method, halves)) for method in SPOTS}
    torch.save(found, folder / f'methods{os.environ.get("WORLD_SIZE", 1)}_{rank}.pth')
