import os

import pytest
import torch

from tests.compat.runner import make_runner


@pytest.mark.parametrize('scheduler', ['OneCycleLR', 'CosineAnnealingLR', 'ReduceOnPlateauLR'])
def test_a_runners_checkpoint_is_loaded_without_executing_anything(tmp_path, monkeypatch, scheduler):
    make_runner(tmp_path, scheduler=scheduler).train()
    path = tmp_path / 'iter_4.pth'
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint['message_hub']['log_scalars']['train/float32'].statistics('mean', 4) == 1

    real_load = torch.load
    unsafe = []

    def load(*args, **kwargs):
        unsafe.extend([kwargs] if kwargs.get('weights_only', True) is False else [])
        return real_load(*args, **kwargs)

    monkeypatch.setattr(torch, 'load', load)
    runner = make_runner(tmp_path, iters=6, scheduler=scheduler, resume=True)
    runner.train()
    assert runner.iter == 6
    assert runner.message_hub.log_scalars['train/float32'].data[0].tolist() == [1] * 6
    torch.load(path, weights_only=True)  # still: MMEngine's own loading takes nothing back
    make_runner(tmp_path / 'other', iters=2, load_from=str(path)).train()
    assert not unsafe


class Evil:

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.parametrize('call', [(os.system, 'true'), (getattr, torch.Tensor, '__init__'), (getattr, [], 'append')])
def test_nothing_else_became_safe(tmp_path, call):
    torch.save({'state_dict': {}, 'meta': Evil(*call)}, tmp_path / 'evil.pth')
    with pytest.raises(Exception, match=r'[Uu]nsupported|may not refer to'):
        torch.load(tmp_path / 'evil.pth', weights_only=True)
