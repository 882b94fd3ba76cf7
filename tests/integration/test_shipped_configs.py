"""Every shipped config can start: ``--dry-run`` with each data set in its own layout, and random weights.

Four configs in every run, those that differ in method, data set or network with the slow tests, and all of them (half
an hour) with ``SKD_MM_ALL_CONFIGS=1``. Networks for segmentation are narrow; nothing else differs.
"""

import logging
import os
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config

from skd_mm.config import load_config
from tests.toy_data import thin_network, write_data_sets

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
# Students are networks with data, to be named by others; a study is a list of runs. test_detection_configs.py trains
# detectors.
NAMES = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob('*.py')
               if not {'_base_', 'detection', 'students', 'studies'} & {*path.parts}
               and path != CONFIGS / 'demo/student.py')
FAST = ['demo/no_teacher.py', 'lwkd/cifar100/lwkd_resnet20_1xb64-240e_cifar100.py',
        'lwkd/wine/lwkd_mlp_1xb16-100e_wine.py', 'teachers/resnet20_1xb64-240e_cifar100.py']


def features(name):
    """What a config is chosen for."""
    folder, *parts = [name.split('/')[0], *Path(name).stem.split('_')]
    if folder in ('demo', 'examples') or len(parts) < 3:
        return {name}
    method, *networks, _, data = parts
    return {(folder, method), (folder, data), *networks}


def segmentation():
    """Each method, data set and student once; tests/test_segmentation_configs.py builds all pairs."""
    unet = 'unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224'
    large = {'kd': 'voc12aug/kd_deeplabv3-r101_deeplabv3-mobilenet-v2_4xb4-40k_voc12aug-512x512',
             'dist': 'ade20k/dist_pspnet-r101_pspnet-r18_4xb4-80k_ade20k-512x512',
             'ifvd': 'context59/ifvd_pspnet-r101_pspnet-r18_4xb4-80k_context59-480x480',
             'mgd': 'cityscapes/mgd_deeplabv3-r101_deeplabv3-r18_4xb4-40k_cityscapes-512x1024',
             'skds': 'camvid/skds_deeplabv3-r101_pspnet-r18_4xb4-40k_camvid-360x360'}
    methods = {Path(name).stem.partition('_')[0] for name in NAMES if name.startswith('segmentation')}
    methods = sorted(method for method in methods if method == 'stagewise-cwd' or not method.startswith('stagewise'))
    return [f'segmentation/{large.get(method, f"camvid/{method}_{unet}")}.py' for method in methods]


def cover():
    """The first configs that have something no other before them has."""
    seen, chosen = set(), []
    for name in NAMES:
        # tests/integration/test_pairs.py trains the pairs, tests/test_few_labels_configs.py has those for few labels.
        others = name.startswith(('segmentation', 'pairs')) or ('fewlabels' in name and '/few-labels_' not in name)
        # They need torch-pruning; tests/test_pruning_configs.py builds them.
        others = others or 'pruning' in name or '/int8-half_' in name
        # 4 bits differ from 8 in a number.
        others = others or name.startswith(('quantisation/camvid/int4', 'quantisation/cifar100/int4'))
        # It makes all its digits first, for minutes; tests/test_lwkd_configs.py builds it.
        others = others or name.startswith('teachers/lenet5')
        if not others and not features(name) <= seen:
            seen |= features(name)
            chosen.append(name)
    return chosen + segmentation()


@pytest.fixture(scope='session')
def toy_world(tmp_path_factory):
    root = tmp_path_factory.mktemp('world')
    write_data_sets(root)
    yield root
    shutil.rmtree(root)


@pytest.fixture
def dry_run(toy_world, tmp_path, monkeypatch, tool, capsys):
    """Runs ``tools/train.py --dry-run`` on a config where the data is; gives what it prints."""
    monkeypatch.chdir(toy_world)
    monkeypatch.delenv('SKD_MM_DATA', raising=False)
    level = logging.getLogger('mmengine').level

    def call(name):
        without_files(load_config(str(CONFIGS / name))).dump(str(tmp_path / 'config.py'))
        monkeypatch.setattr('sys.argv', ['train.py', str(tmp_path / 'config.py'), '--dry-run'])
        tool.main()
        return capsys.readouterr().out

    yield call
    logging.getLogger('mmengine').setLevel(level)


def without_files(cfg):
    """The config with random weights, thin networks, and a CIFAR that need not be the official release."""
    if cfg.model.get('pretrained'):
        thin_network(cfg.model)
    for role in ('teacher', 'student'):
        network = cfg.model.get(role)
        if network is None:
            continue
        if not str(network.get('checkpoint')).startswith('prelude/'):
            network.checkpoint = None
        if network.get('pretrained') or any(word in str(network.get('cfg')) for word in ('unet-', '-d8', 'deeplabv3')):
            thin_network(network)
    for split in ('train', 'val', 'test', 'unlabelled'):
        dataset = cfg.get(f'{split}_dataloader', {}).get('dataset', {})
        if 'CIFAR' in str(dataset.get('type')):
            dataset.check_md5 = False
    return cfg


@pytest.mark.parametrize('name', FAST)
def test_it_can_start(dry_run, name):
    lines = dry_run(name)
    assert lines.rstrip().endswith('The run can start.')
    assert ('GFLOPs per image' in lines) == (not name.startswith('teachers'))


ALL = NAMES if os.environ.get('SKD_MM_ALL_CONFIGS') else cover()


@pytest.mark.slow
@pytest.mark.parametrize('name', [name for name in ALL if name not in FAST])
def test_the_others_can_start(dry_run, name):
    assert dry_run(name).rstrip().endswith('The run can start.')


@pytest.mark.slow
def test_all_schedules_are_followed_by_the_model_zoos_own_tools():
    for name in NAMES:
        if name.startswith('segmentation'):
            continue  # tests/test_segmentation_configs.py has them
        cfg = Config.fromfile(CONFIGS / name)
        assert 'schedule' not in cfg or cfg.train_cfg.type == 'skd_mm.PhaseLoop', name
