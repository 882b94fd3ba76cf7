import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

SCRIPTS = ('tools/demo.sh', 'tools/dist_test.sh', 'tools/dist_train.sh', 'tools/env.sh', 'tools/run_tests.sh',
           'tools/slurm_test.sh', 'tools/slurm_train.sh', '.ci/run')
LEFT_OUT = shutil.ignore_patterns('.git', '.venv*', '.mim', '__pycache__', '*.egg-info', 'build', 'data', 'dist',
                                  'work_dirs', '.*_cache')


def bash(*command, **kwargs):
    return subprocess.run(['bash', *map(str, command)], capture_output=True, text=True, check=False, **kwargs)


@pytest.fixture
def checkout(repo, tmp_path):
    return shutil.copytree(repo, tmp_path / 'checkout', ignore=LEFT_OUT)


def pip(*arguments, **kwargs):
    command = [sys.executable, '-m', 'pip', '--disable-pip-version-check', *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)
    assert result.returncode == 0, result.stderr


# Requirements


def parse(repo, name):
    """The requirements in a file as {name: specifier}, those of the files it names with -r among them."""
    requirements = {}
    for line in (repo / name).read_text().splitlines():
        if line.startswith('-r '):
            requirements |= parse(repo, line[3:])
        elif line and not line.startswith('#'):
            package, specifier = re.fullmatch(r'([\w-]+)(.*)', line).groups()
            requirements[package] = specifier
    return requirements


def test_requirements_are_split_as_openmmlab_splits_them(repo):
    names = {path.name for path in (repo / 'requirements').iterdir()}
    assert names == {f'{name}.txt' for name in ('cpu', 'deploy', 'detection', 'detection_original', 'docs', 'mminstall',
                                                'mminstall_original', 'optional', 'runtime', 'tests')}
    both = parse(repo, 'requirements/mminstall.txt').keys() & parse(repo, 'requirements/mminstall_original.txt').keys()
    assert both == {'numpy', 'opencv-python'}


def test_what_everyone_installs_pins_neither_torch_nor_a_line_of_openmmlab(repo):
    everyone = parse(repo, 'requirements.txt')
    assert {'numpy', 'pytest', 'ruff'} <= everyone.keys()
    assert not [name for name in everyone if name in ('torch', 'torchvision') or name.startswith(('mm', 'onedl'))]


# Scripts


@pytest.mark.parametrize('script', SCRIPTS)
def test_scripts_are_executable_bash(repo, script):
    result = bash('-n', repo / script)
    assert result.returncode == 0, result.stderr
    if script != 'tools/env.sh':
        assert os.access(repo / script, os.X_OK)
        assert 'set -euo pipefail' in (repo / script).read_text()


@pytest.fixture
def fake_launchers(tmp_path):
    """``torchrun`` and ``srun`` that print their arguments, one a line."""
    for name in ('torchrun', 'srun'):
        (tmp_path / name).write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
        (tmp_path / name).chmod(0o755)
    clean = {key: value for key, value in os.environ.items() if key not in ('NNODES', 'PORT', 'GPUS', 'SRUN_ARGS')}
    return {**clean, 'PATH': f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'}


@pytest.mark.parametrize(('script', 'arguments', 'expected'), [
    ('dist_train', ('c.py', '2', '--cfg-options', 'a=x y'),
     ('tools/train.py', 'c.py', '--launcher', 'pytorch', '--cfg-options', 'a=x y')),
    ('dist_test', ('c.py', 'w.pth', '2', '--tta'),
     ('tools/test.py', 'c.py', 'w.pth', '--launcher', 'pytorch', '--tta')),
])
def test_distributed_scripts_take_mmsegmentations_arguments(repo, fake_launchers, script, arguments, expected):
    result = bash(f'tools/{script}.sh', *arguments, cwd=repo, env=fake_launchers)
    assert result.stdout.splitlines() == ['--nnodes=1', '--node_rank=0', '--master_addr=127.0.0.1',
                                          '--master_port=29500', '--nproc_per_node=2', *expected]
    environ = {'NNODES': '3', 'NODE_RANK': '1', 'PORT': '1234', 'MASTER_ADDR': 'node0'}
    result = bash(f'tools/{script}.sh', *arguments, cwd=repo, env={**fake_launchers, **environ})
    assert result.stdout.splitlines()[:4] == ['--nnodes=3', '--node_rank=1', '--master_addr=node0',
                                              '--master_port=1234']


@pytest.mark.parametrize(('script', 'arguments', 'expected'), [
    ('slurm_train', ('c.py', ), ('tools/train.py', 'c.py', '--launcher', 'slurm')),
    ('slurm_train', ('c.py', '--amp'), ('tools/train.py', 'c.py', '--launcher', 'slurm', '--amp')),
    ('slurm_train', ('c.py', 'my dir', '--amp'),
     ('tools/train.py', 'c.py', '--launcher', 'slurm', '--work-dir', 'my dir', '--amp')),
    ('slurm_test', ('c.py', 'w.pth', '--tta'), ('tools/test.py', 'c.py', 'w.pth', '--launcher', 'slurm', '--tta')),
])
def test_slurm_scripts_take_mmsegmentations_arguments(repo, fake_launchers, script, arguments, expected):
    environ = {'GPUS': '16', 'GPUS_PER_NODE': '8', 'CPUS_PER_TASK': '3', 'SRUN_ARGS': '--mem 1G'}
    result = bash(f'tools/{script}.sh', 'part', 'job', *arguments, cwd=repo, env={**fake_launchers, **environ})
    assert result.stdout.splitlines() == [
        '-p', 'part', '--job-name=job', '--gres=gpu:8', '--ntasks=16', '--ntasks-per-node=8', '--cpus-per-task=3',
        '--kill-on-bad-exit=1', '--mem', '1G', 'python', '-u', *expected]


@pytest.mark.parametrize(('script', 'count'), [
    ('dist_train', 2),
    ('dist_test', 3),
    ('slurm_train', 3),
    ('slurm_test', 4),
])
def test_a_missing_argument_is_named(repo, fake_launchers, script, count):
    for given in range(count):
        result = bash(f'tools/{script}.sh', *map(str, range(given)), cwd=repo, env=fake_launchers)
        assert result.returncode != 0
        assert 'is missing' in result.stderr
        assert not result.stdout


# The environment that demo.sh and run_tests.sh make


@pytest.fixture
def active(tmp_path):
    """An active virtual environment that has one original OpenMMLab package in it, and no way to install more."""
    (tmp_path / 'env').mkdir()
    info = tmp_path / 'env' / 'mmengine-0.10.7.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: mmengine\nVersion: 0.10.7\n')
    (tmp_path / 'python').symlink_to(sys.executable)
    return {**os.environ, 'PATH': f'{tmp_path}{os.pathsep}{os.environ["PATH"]}', 'VIRTUAL_ENV': str(tmp_path),
            'PYTHONPATH': str(tmp_path / 'env'), 'PIP_NO_INDEX': '1', 'SKD_MM_STACK': 'maintained'}


def test_one_line_is_not_installed_over_the_other(checkout, active):
    result = bash(checkout / 'tools' / 'demo.sh', env=active)
    assert result.returncode == 1
    assert 'mmengine in this environment would be overwritten' in result.stderr
    assert not (checkout / '.venv').exists()


def test_an_unknown_line_is_refused(checkout, active):
    result = bash(checkout / 'tools' / 'run_tests.sh', env={**active, 'SKD_MM_STACK': 'newest'})
    assert result.returncode == 1
    assert "SKD_MM_STACK=newest: it must be 'maintained' (the default) or 'original'" in result.stderr


# What mim finds


def expected_files(checkout):
    return {path.relative_to(checkout).as_posix() for folder in ('configs', 'tools')
            for path in (checkout / folder).rglob('*') if path.is_file()} | {'model-index.yml'}


@pytest.mark.slow
def test_a_wheel_has_configs_tools_and_the_model_index(checkout, tmp_path):
    pip('wheel', '--no-deps', '--no-build-isolation', '-w', tmp_path, checkout)
    wheel, = tmp_path.glob('skd_mm-*.whl')
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    mim = {name.removeprefix('skd_mm/.mim/') for name in names if name.startswith('skd_mm/.mim/')}
    assert mim == expected_files(checkout)
    package = {path.relative_to(checkout).as_posix() for path in (checkout / 'skd_mm').rglob('*.py')}
    assert package <= names
    assert not [name for name in names if name.startswith(('tests', 'tools', 'configs'))]

    pip('install', '--no-deps', '--target', tmp_path / 'site', wheel)
    (tmp_path / 'config.py').write_text("_base_ = 'skd_mm::_base_/datasets/camvid.py'\n")
    code = "from mmengine.config import Config; import skd_mm; print(Config.fromfile('config.py').train_dataloader)"
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False, cwd=tmp_path,
                            env={**os.environ, 'PYTHONPATH': str(tmp_path / 'site')})
    assert 'CamVidDataset' in result.stdout, result.stderr


@pytest.mark.slow
def test_an_editable_installation_links_to_them(checkout, tmp_path):
    pip('install', '--no-deps', '--no-build-isolation', '--target', tmp_path / 'site', '--editable', checkout)
    mim = checkout / 'skd_mm' / '.mim'
    assert {path.name for path in mim.iterdir()} == {'configs', 'tools', 'model-index.yml'}
    for path in mim.iterdir():
        assert path.is_symlink()
        assert path.resolve() == checkout / path.name
