"""From a checkpoint to tested files: a toy student of a distillation, with tiny images."""

import json
import sys
from argparse import Namespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

from skd_mm.deploy import deployment
from skd_mm.deploy.deployment import DeployOptions, deploy
from skd_mm.deploy.table import format_table
from skd_mm.distillers import build_network
from tests.helpers import SIDE, config, network
from tools.test import prepare

QUICK = dict(threads=(1, ), rounds=2, warmup=1, images=2)


def randomise(model):
    """BN statistics and weights that no initialisation gives."""
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.add_(torch.rand_like(value) / 4)
    return model


@pytest.fixture(scope='module')
def student(tmp_path_factory):
    """The config of a distillation, and a checkpoint of its student."""
    folder = tmp_path_factory.mktemp('student')
    cfg = config(folder, {}, images=20)
    for part in ('dataloader', 'cfg', 'evaluator'):
        cfg[f'test_{part}'] = cfg[f'val_{part}']
    cfg.test_cfg = dict(type='TestLoop')
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = randomise(build_network(network(), 'student'))
    weights = {f'student.{key}': value for key, value in model.state_dict().items()}
    torch.save(dict(meta=dict(dataset_meta=dict(classes=['a', 'b', 'c'])), state_dict=weights), folder / 'iter_1.pth')
    cfg.dump(folder / 'toy.py')
    return folder


def load(student, **changes):
    cfg = Config.fromfile(student / 'toy.py')
    cfg.merge_from_dict(changes)
    return cfg


def metrics_of(student, file, work_dir, **changes):
    """The metrics of ``tools/test.py``."""
    args = Namespace(config=str(student / 'toy.py'), checkpoint=str(file), work_dir=str(work_dir), split='test',
                     per_class=False, out=None, show=False, show_dir=None, wait_time=0, tta=False, launcher='none',
                     cfg_options=[f'{key}={value}' for key, value in changes.items()])
    return prepare(args).test()


@pytest.mark.slow
def test_every_file_is_verified_tested_and_timed(student, tmp_path):
    lines = []
    out = tmp_path / 'out'
    out.mkdir()
    options = DeployOptions(formats=('onnx-int8', 'torchscript', 'onnx'), calibration_fraction=0.2, **QUICK)
    results = deploy(load(student), str(student / 'iter_*.pth'), out, 'toy', options, lines.append)
    assert {path.name for path in out.iterdir()} == {
        'toy.onnx', 'toy-int8.onnx', 'toy.torchscript', 'toy.py', 'toy.pth', 'deploy.json', 'deploy.md'}
    assert json.loads((out / 'deploy.json').read_text()) == results
    plain, *files = results['files']
    assert plain['format'] == 'pytorch' and [entry['format'] for entry in files] == ['onnx', 'onnx-int8', 'torchscript']
    for entry in files:
        assert entry['bytes'] == (out / entry['file']).stat().st_size
        if entry['format'] == 'onnx-int8':
            assert 1e-4 < entry['difference'] < 0.2
        else:
            assert entry['difference'] < 1e-5
            assert entry['metrics'] == plain['metrics']
        assert [latency['threads'] for latency in entry['latency']] == [1]
    assert results['calibration_images'] == 4 and results['metric'] == 'mIoU'
    assert results['input'] == [1, 3, SIDE, SIDE]
    text = format_table(results)
    assert 'onnx-int8' in text and f'{plain["metrics"]["mIoU"]:.2f}' in text and '4 training images' in text

    expected = {key: pytest.approx(value) for key, value in plain['metrics'].items()}
    assert metrics_of(student, student / 'iter_1.pth', tmp_path / 'test') == expected
    assert metrics_of(student, out / 'toy.onnx', tmp_path / 'test') == expected
    int8 = metrics_of(student, out / 'toy-int8.onnx', tmp_path / 'test')
    assert int8 == {key: pytest.approx(value) for key, value in files[1]['metrics'].items()}


@pytest.mark.slow
def test_files_normalise_and_classify_by_themselves(student, tmp_path):
    options = DeployOptions(normalize=True, labels=True, dynamic='fixed', evaluate=False, **QUICK)
    cfg = load(student)
    cfg.model.student.data_preprocessor.update(bgr_to_rgb=True, mean=[90., 80., 70.])
    results = deploy(cfg, str(student / 'iter_1.pth'), tmp_path / 'out', 'toy', options, lambda line: None)
    assert results['files'][1]['difference'] == 0 and results['metric'] is None
    from skd_mm.deploy import OnnxNetwork
    file = OnnxNetwork(tmp_path / 'out' / 'toy.onnx')
    image = torch.randint(0, 255, (1, 3, SIDE, SIDE)).float()
    labels = file(image)
    model = deployment._Deployment(cfg, str(student / 'iter_1.pth'), str(tmp_path), DeployOptions(**QUICK), print)
    model = model.network.model
    inputs = model.data_preprocessor(dict(inputs=[image[0]]), False)['inputs']
    with torch.no_grad():
        expected = model.predict(inputs)[0].pred_sem_seg.data
    assert torch.equal(labels, expected) and len(labels.unique()) > 1

    # The file takes one image.
    change = {'test_dataloader.batch_size': 1, 'model.student.data_preprocessor.bgr_to_rgb': True,
              'model.student.data_preprocessor.mean': '[90.,80.,70.]'}
    metrics = [metrics_of(student, file, tmp_path / 'test', **change)
               for file in (student / 'iter_1.pth', tmp_path / 'out' / 'toy.onnx')]
    assert metrics[0] == {key: pytest.approx(value) for key, value in metrics[1].items()}


def refused(student, out, match, options=None, **changes):
    """Whether a deployment ends with an error before anything is written."""
    settings = DeployOptions(**QUICK, **(options or {}))
    with pytest.raises((ValueError, OSError, ImportError), match=match):
        deploy(load(student, **changes), str(student / 'iter_1.pth'), out, 'toy', settings, lambda line: None)
    return not out.exists() and not list(out.parent.glob('.*'))


@pytest.mark.parametrize('options, match', [
    (dict(formats=('onxx', )), r"no format 'onxx'; did you mean 'onnx'"),
    (dict(formats=()), 'no format was given'),
    (dict(calibration_fraction=0.01, formats=('onnx-int8', )), 'no calibration images: fraction 0.01 of 12 images'),
    (dict(calibration_fraction=2, formats=('onnx-int8', )), r'fraction must be a number in \(0, 1\]'),
])
def test_bad_options_are_refused(student, tmp_path, options, match):
    assert refused(student, tmp_path / 'a' / 'out', match, options, **{'train_dataloader.dataset.images': 12})


def test_a_missing_package_is_named(student, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'openvino', None)
    assert refused(student, tmp_path / 'a' / 'out', "'openvino' needs the package 'openvino'.*pip install openvino",
                   dict(formats=('openvino', )))


def test_a_config_without_training_data_cannot_calibrate(student, tmp_path):
    assert refused(student, tmp_path / 'a' / 'out', 'no calibration images: the config has no `train_dataloader`',
                   dict(formats=('onnx-int8', )), train_dataloader=None)


def test_a_folder_with_files_is_refused(student, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'mine.txt').write_text('kept')
    with pytest.raises(FileExistsError, match='out is not an empty folder'):
        deploy(load(student), str(student / 'iter_1.pth'), tmp_path / 'out', 'toy', DeployOptions())
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['mine.txt']


def test_nothing_is_left_of_a_deployment_that_fails_late(student, tmp_path, monkeypatch):
    def fails(*args):
        raise OSError('no space left')

    def export(network, example, file, **kwargs):
        file.write_bytes(b'half')
        fails()

    monkeypatch.setattr(deployment, 'export_onnx', export)
    assert refused(student, tmp_path / 'a' / 'out', 'no space left', dict(evaluate=False))
