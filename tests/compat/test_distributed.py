import os
import subprocess
import sys
import textwrap

import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from torch import nn

from skd_mm import compat
from skd_mm.compat import distributed
from tests.compat.runner import Model, make_runner

without_gpu = pytest.mark.skipif(distributed.has_accelerator(), reason='this machine has an accelerator')


@pytest.fixture
def one_process(monkeypatch):
    environ = {'RANK': 0, 'LOCAL_RANK': 0, 'WORLD_SIZE': 1, 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': 0}
    for key, value in environ.items():
        monkeypatch.setenv(key, str(value))
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@without_gpu
@pytest.mark.parametrize('wrapper', [None, {'type': 'MMDistributedDataParallel', 'find_unused_parameters': True}])
def test_a_distributed_runner_works_on_a_cpu(tmp_path, one_process, wrapper):
    runner = make_runner(tmp_path, launcher='pytorch', cfg={'model_wrapper_cfg': wrapper} if wrapper else None)
    runner.train()
    assert torch.distributed.get_backend() == 'gloo'
    assert isinstance(runner.model, MMDistributedDataParallel)
    assert runner.model.device_ids is None
    assert runner.model.find_unused_parameters is (wrapper is not None)
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in runner.model.modules())
    assert runner.model.module.norm.num_batches_tracked == 4


def test_with_an_accelerator_nothing_changes(monkeypatch):
    seen = []
    monkeypatch.setattr(distributed, 'has_accelerator', lambda: True)
    monkeypatch.setattr(torch.cuda, 'set_device', lambda device: seen.append(('device', device)))
    monkeypatch.setattr(torch.distributed, 'init_process_group', lambda **kwargs: seen.append(kwargs))
    monkeypatch.setenv('RANK', '0')
    monkeypatch.setenv('LOCAL_RANK', '3')
    monkeypatch.setattr(nn.parallel.DistributedDataParallel, '__init__', lambda self, **kwargs: seen.append(kwargs))
    from mmengine.dist import init_dist
    init_dist('pytorch', backend='nccl')
    model = Model()
    MMDistributedDataParallel(module=model, device_ids=[3])
    assert seen == [('device', 3), {'backend': 'nccl'}, {'module': model, 'device_ids': [3]}]


def test_patching_twice_changes_nothing():
    from mmengine.dist import utils
    before = utils._init_dist_pytorch, MMDistributedDataParallel.__init__
    compat.patch_cpu_distributed()
    after = utils._init_dist_pytorch, MMDistributedDataParallel.__init__
    assert after == before


@without_gpu
@pytest.mark.slow
def test_two_processes_train_the_same_weights(tmp_path, repo):
    script = tmp_path / 'train.py'
    script.write_text(textwrap.dedent(f"""
        import sys
        sys.path[:0] = [{str(repo)!r}]
        import torch
        import skd_mm
        from tests.compat.runner import make_runner
        runner = make_runner({str(tmp_path / 'work')!r}, launcher='pytorch')
        runner.train()
        weights = torch.cat([p.detach().flatten() for p in runner.model.parameters()])
        both = [torch.zeros_like(weights) for _ in range(2)]
        torch.distributed.all_gather(both, weights)
        assert torch.equal(*both)
        print(f'same weights in {{torch.distributed.get_world_size()}};', end='', flush=True)
        """))
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2', str(script)]
    result = subprocess.run(command, capture_output=True, text=True, check=False,
                            env={**os.environ, 'OMP_NUM_THREADS': '1'})
    assert result.returncode == 0, result.stderr
    assert result.stdout.count('same weights in 2;') == 2
