import importlib.abc
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.runner import Runner
from torch import nn

from skd_mm import compat

LINE = compat.installed_line()


class Model(BaseModel):

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.norm = nn.SyncBatchNorm(3)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        loss = self.norm(self.linear(inputs)).pow(3).mean()
        return {'loss': loss} if mode == 'loss' else loss


class Numbers(torch.utils.data.Dataset):
    metainfo = {'classes': ('a', 'b'), 'palette': np.zeros((2, 3), np.uint8)}

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {'inputs': torch.tensor([index / 8, index % 3])}


class NumpyScalars(Hook):
    """Logs what metrics and losses may log: numpy scalars of several types."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        for kind in (np.float16, np.float32, np.float64, np.int32, np.int64):
            runner.message_hub.update_scalar(f'train/{kind.__name__}', kind(1))
            runner.message_hub.update_info(kind.__name__, kind(1))
        runner.message_hub.update_info('flag', np.bool_(True))


def make_runner(work_dir, iters=4, scheduler='CosineAnnealingLR', **kwargs):
    schedulers = {
        'OneCycleLR': {'type': 'OneCycleLR', 'eta_max': 0.1, 'total_steps': 10, 'by_epoch': False},
        'CosineAnnealingLR': {'type': 'CosineAnnealingLR', 'T_max': 10, 'by_epoch': False},
        'ReduceOnPlateauLR': {'type': 'ReduceOnPlateauLR', 'monitor': 'train/loss'},
    }
    return Runner(
        model=Model(),
        work_dir=str(work_dir),
        train_dataloader={
            'dataset': Numbers(),
            'batch_size': 2,
            'num_workers': 0,
            'sampler': {'type': 'InfiniteSampler', 'shuffle': True},
            'collate_fn': {'type': 'default_collate'},
        },
        train_cfg={'by_epoch': False, 'max_iters': iters},
        optim_wrapper={'optimizer': {'type': 'Adam', 'lr': 0.1}},
        param_scheduler=schedulers[scheduler],
        custom_hooks=[NumpyScalars()],
        default_hooks={
            'checkpoint': {'type': 'CheckpointHook', 'interval': 2, 'by_epoch': False},
            'logger': {'type': 'LoggerHook', 'interval': 1},
        },
        log_processor={'by_epoch': False},
        experiment_name=f'compat_{os.path.basename(work_dir)}_{iters}',
        **kwargs)


def run_python(code, **env):
    result = subprocess.run([sys.executable, '-W', 'ignore', '-c', textwrap.dedent(code)], capture_output=True,
                            text=True, check=False, env={**os.environ, **env})
    assert result.returncode == 0, result.stderr
    return result.stdout


# The line of packages


def installed(*names):
    return lambda name: name in names


MAINTAINED = ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation', 'onedl-mmpretrain')


@pytest.mark.parametrize(('line', 'names'), [
    ('maintained', MAINTAINED),
    ('original', ('mmengine', 'mmcv-lite', 'mmsegmentation', 'mmpretrain')),
    ('original', ('mmengine-lite', 'mmcv', 'mmsegmentation', 'mmpretrain')),
])
def test_either_line_is_recognised(monkeypatch, line, names):
    monkeypatch.setattr(compat, '_is_installed', installed(*names))
    assert compat.installed_line() == line


@pytest.mark.parametrize(('names', 'message'), [
    ((), 'are not installed'),
    ((*MAINTAINED, 'mmengine'), r'both lines.*pip uninstall -y .*onedl-mmcv .*mmengine'),
    (MAINTAINED[:-1], 'onedl-mmpretrain is missing beside onedl-mmengine'),
    (('mmengine', 'mmcv', 'mmpretrain'), 'mmsegmentation is missing'),
])
def test_neither_both_or_half_a_line_is_refused(monkeypatch, names, message):
    monkeypatch.setattr(compat, '_is_installed', installed(*names))
    with pytest.raises(ImportError, match=f'(?s){message}') as caught:
        compat.installed_line()
    assert 'pip install -r requirements/mminstall' in str(caught.value)
    if len(names) in (0, 5):
        assert all(command in str(caught.value) for command in compat.INSTALL.values())


def test_the_commands_name_files_that_are_there(repo):
    for line, command in compat.INSTALL.items():
        requirements = (repo / command.split()[-1]).read_text()
        assert all(any(f'{name}==' in requirements for name in names) for names in compat.LINES[line])


# torchvision


def test_torchvision_is_imported_whose_extension_cannot_be_loaded(tmp_path):
    package = tmp_path / 'torchvision'
    package.mkdir()
    (package / '_C.so').write_bytes(b'built for another torch')
    (package / '__init__.py').write_text(
        'import torch\n'
        "for name in ('nms', 'qnms'):\n"
        "    torch.library.register_fake(f'torchvision::{name}')(lambda dets, scores, iou_threshold: dets)\n")
    code = """
        import sys
        import skd_mm
        print([name for name in ('mmseg', 'mmpretrain', 'torchvision') if name in sys.modules])
        import torchvision
        print(torchvision.__file__)
        """
    root = os.path.dirname(os.path.dirname(compat.__file__))
    lines = run_python(code, PYTHONPATH=f'{tmp_path}{os.pathsep}{root}').splitlines()
    assert lines == ['[]', str(package / '__init__.py')]  # and importing skd_mm imports nothing heavy


def test_torchvision_that_works_is_left_alone(monkeypatch):
    import torchvision
    defined = []
    monkeypatch.setattr(torch.library, 'define', lambda *args: defined.append(args))
    compat.patch_torchvision()
    monkeypatch.delitem(sys.modules, 'torchvision')
    compat.patch_torchvision()
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    compat.patch_torchvision()
    assert not defined
    assert torchvision.ops.nms is not None


# mmcv.ops


@pytest.fixture
def no_compiled_ops(monkeypatch):
    monkeypatch.delitem(sys.modules, 'mmcv._ext', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [f for f in sys.meta_path if not isinstance(f, compat._NoCompiledOps)])
    yield
    sys.modules.pop('mmcv._ext', None)


def test_a_compiled_operator_says_why_it_is_not_there(no_compiled_ops):
    from mmcv.utils.ext_loader import load_ext
    if importlib.util.find_spec('mmcv._ext') is not None:
        pytest.skip('this mmcv has its compiled operators')
    compat.patch_mmcv_ops()
    compat.patch_mmcv_ops()
    assert sum(isinstance(finder, compat._NoCompiledOps) for finder in sys.meta_path) == 1
    ext = importlib.import_module('mmcv._ext')
    assert load_ext('_ext', ['nms', 'roi_align_forward']) is ext
    with pytest.raises(RuntimeError, match="'nms' is not available: mmcv-lite"):
        ext.nms(None, iou_threshold=0.5)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module('mmcv._ext_of_another_name')


def test_compiled_operators_are_preferred_where_they_are(no_compiled_ops):

    class Real(importlib.abc.MetaPathFinder):
        """Stands for whoever finds a compiled mmcv."""

        def find_spec(self, fullname, path, target=None):
            return importlib.machinery.ModuleSpec('mmcv._ext', 'real') if fullname == 'mmcv._ext' else None

    sys.meta_path.append(Real())
    compat.patch_mmcv_ops()
    assert importlib.util.find_spec('mmcv._ext').loader == 'real'


@pytest.mark.skipif(LINE != 'original', reason='the maintained mmsegmentation does not need mmcv.ops')
def test_operators_that_need_no_compiling_work_with_mmcv_lite():
    from mmcv.ops import point_sample
    image = torch.arange(4.).view(1, 1, 2, 2)
    assert point_sample(image, torch.full((1, 1, 2), 0.5)).item() == 1.5


# Names of packages


def test_a_config_of_mmsegmentation_can_be_the_base_of_another(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'mmseg::_base_/models/fcn_unet_s5-d16.py'\n")
    assert Config.fromfile(str(config)).model.backbone.type == 'UNet'


def test_hub_does_not_start_pip(monkeypatch):
    from mmengine import hub
    from mmengine.utils import package_utils
    monkeypatch.setattr(package_utils, 'call_command', lambda command: pytest.fail(f'called {command}'))
    assert hub.get_config('mmseg::_base_/models/fcn_unet_s5-d16.py').model.backbone.type == 'UNet'


@pytest.mark.parametrize(('names', 'package'), [((), 'mmseg'), (('mmsegmentation', ), 'mmsegmentation')])
def test_mmseg_stands_for_itself_only_where_mmsegmentation_is_not_installed(monkeypatch, names, package):
    from mmengine.config import utils
    monkeypatch.setattr(utils, 'MODULE2PACKAGE', {'mmseg': 'mmsegmentation'})
    monkeypatch.setattr(compat, '_is_installed', installed(*names))
    compat.patch_package_names()
    assert {'mmseg': package, 'skd_mm': 'skd_mm'} == utils.MODULE2PACKAGE


# Checkpoints


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


# Distributed runs without a GPU

without_gpu = pytest.mark.skipif(compat._has_accelerator(), reason='this machine has an accelerator')


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
    monkeypatch.setattr(compat, '_has_accelerator', lambda: True)
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


def test_mending_twice_is_mending_once():
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
        sys.path[:0] = [{str(repo)!r}, {os.path.dirname(__file__)!r}]
        import torch
        from test_compat import make_runner
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
