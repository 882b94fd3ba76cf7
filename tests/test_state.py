import os

import torch

from tests.state import restored_state


def test_what_a_test_changes_is_restored(tmp_path, monkeypatch):
    monkeypatch.setenv('SKD_MM_A', '1')
    monkeypatch.setenv('SKD_MM_B', '1')
    monkeypatch.delenv('SKD_MM_C', raising=False)
    folder = os.getcwd()
    with restored_state():
        torch.set_default_dtype(torch.float64)
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.set_num_threads(2)
        torch.set_grad_enabled(False)
        os.chdir(tmp_path)
        os.environ.update(SKD_MM_A='2', SKD_MM_C='1')
        del os.environ['SKD_MM_B']
    assert torch.get_default_dtype() == torch.float32 and not torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == 1 and torch.is_grad_enabled() and os.getcwd() == folder
    assert [os.environ.get(f'SKD_MM_{name}') for name in 'ABC'] == ['1', '1', None]
