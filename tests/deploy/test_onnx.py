"""ONNX files of any module."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

from skd_mm.deploy import onnx as deploy_onnx
from skd_mm.deploy.onnx import OnnxNetwork, export_onnx
from skd_mm.deploy.tracing import ExportError
from skd_mm.deploy.verification import relative_difference


class Net(nn.Module):
    """Convolution, BN and dropout, with a last step that differs."""

    def __init__(self, last=None):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))
        self.head = Last(last or (lambda x: x))
        with torch.no_grad():
            self.body[1].running_mean.uniform_(-1, 1)
            self.body[1].running_var.uniform_(0.5, 2)

    def forward(self, x):
        return self.head(self.body(x))


class Last(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def pyramid(x):
    return dict(scores=[x, F.max_pool2d(x, 2)], boxes=(x.mean((2, 3)), ))


@pytest.fixture(scope='module')
def images():
    return torch.randn(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))


def test_batch_and_size_vary_and_outputs_are_those_of_eval_mode(tmp_path, images):
    model = Net(pyramid).train()
    result = export_onnx(model, images, tmp_path / 'new' / 'net.onnx', metadata=dict(normalize=True))
    assert result.dynamic == 'size' and result.difference < 1e-5 and result.notes == ()
    assert [path.name for path in result.file.parent.iterdir()] == ['net.onnx']
    assert all(module.training for module in model.modules())
    network = OnnxNetwork(result.file)
    assert network.metadata['normalize'] is True
    assert network.shapes == [['batch', 3, 'height', 'width']]
    other = torch.randn(3, 3, 20, 8)
    model.eval()
    outputs, expected = network(other), model(other)
    assert outputs.keys() == expected.keys() and isinstance(outputs['boxes'], tuple) and len(outputs['scores']) == 2
    assert relative_difference(outputs, expected) < 1e-5


@pytest.mark.slow
def test_a_size_that_the_network_makes_constant_stays_fixed_with_a_note(tmp_path, images):
    weight = torch.randn(16 * 24)
    result = export_onnx(Net(lambda x: x.flatten(2) @ weight), images, tmp_path / 'net.onnx')
    assert result.dynamic == 'batch' and result.difference < 1e-5
    assert len(result.notes) == 1 and 'the image size cannot vary' in result.notes[0]
    network = OnnxNetwork(result.file)
    assert network.shapes == [['batch', 3, 16, 24]]
    assert network(torch.zeros(5, 3, 16, 24)).shape == (5, 4)
    with pytest.raises(ValueError, match=r"'images' is \['batch', 3, 16, 24\].*\[1, 3, 16, 32\]"):
        network(torch.zeros(1, 3, 16, 32))


@pytest.mark.slow
def test_pooling_into_bins_is_named(tmp_path, images):
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Upsample(scale_factor=2), nn.AdaptiveAvgPool2d((3, 2)))
    result = export_onnx(model, images, tmp_path / 'net.onnx')
    assert result.dynamic == 'batch'
    assert result.notes == ("the image size cannot vary: the module '2' (AdaptiveAvgPool2d) pools into (3, 2) bins, "
                            'whose borders are constants in the file', )


@pytest.mark.slow
def test_padding_that_depends_on_the_size_is_named(tmp_path, images):
    from mmcv.cnn.bricks import Conv2dAdaptivePadding
    result = export_onnx(nn.Sequential(Conv2dAdaptivePadding(3, 2, 3, stride=2)), images, tmp_path / 'net.onnx')
    assert result.dynamic == 'batch'
    assert result.notes == ("the image size cannot vary: the module '0' (Conv2dAdaptivePadding) pads by numbers that "
                            'depend on the size', )


torch.library.define('skd_mm_tests::twice', '(Tensor x) -> Tensor')
torch.library.impl('skd_mm_tests::twice', 'cpu')(lambda x: x * 2)
torch.library.register_fake('skd_mm_tests::twice')(torch.empty_like)
torch.library.define('skd_mm_tests::untraceable', '(Tensor x) -> Tensor')
torch.library.impl('skd_mm_tests::untraceable', 'cpu')(lambda x: x * 2)


def branch(x):
    return x if x.sum() > 0 else x + 1


@pytest.mark.parametrize('function, words', [
    pytest.param(torch.ops.skd_mm_tests.twice, ["'skd_mm_tests.twice'", "'head' (Last)"], marks=pytest.mark.slow),
    (torch.ops.skd_mm_tests.untraceable, ["'skd_mm_tests.untraceable.default'", "'head' (Last)"]),
    (torch.linalg.svdvals, ["'aten._linalg_svd'", "'head' (Last)"]),
    (branch, ["'head' (Last)", 'data-dependent']),
])
def test_what_cannot_be_exported_is_named_with_operator_and_module(tmp_path, images, function, words):
    with pytest.raises(ExportError) as caught:
        export_onnx(Net(function), images, tmp_path / 'net.onnx', dynamic='fixed')
    assert [word for word in words if word not in str(caught.value)] == []
    assert '\n' not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_file_with_other_outputs_than_pytorch_is_not_written(tmp_path, images, monkeypatch):
    convert = deploy_onnx.convert
    model = Net()

    def wrong(*args):
        result = convert(*args)
        with torch.no_grad():
            model.body[0].weight.mul_(1.01)
        return result

    monkeypatch.setattr(deploy_onnx, 'convert', wrong)
    with pytest.raises(ExportError, match=r'largest relative difference .* more than 0\.0001'):
        export_onnx(model, images, tmp_path / 'net.onnx', dynamic='fixed')
    assert list(tmp_path.iterdir()) == []


def test_bad_arguments_are_named(tmp_path, images):
    with pytest.raises(ValueError, match=r"dynamic='sized' is not one of .*'size'"):
        export_onnx(Net(), images, tmp_path / 'net.onnx', dynamic='sized')
    (tmp_path / 'text.onnx').write_text('no network')
    with pytest.raises(ValueError, match=r'text.onnx is not an ONNX file'):
        OnnxNetwork(tmp_path / 'text.onnx')
    with pytest.raises(FileNotFoundError, match=r'net\.onnx'):
        OnnxNetwork(tmp_path / 'net.onnx')


def test_a_network_that_draws_random_numbers_in_eval_mode_is_refused(tmp_path, images):
    with pytest.raises(ExportError, match='draws random numbers in eval mode'):
        export_onnx(Net(lambda x: x + torch.rand_like(x)), images, tmp_path / 'net.onnx')
    assert list(tmp_path.iterdir()) == []
