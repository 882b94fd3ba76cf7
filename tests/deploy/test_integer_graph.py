"""Files of quantised students whose additions and concatenations work on integers."""

import pytest
import torch

from skd_mm.deploy.quantisation import calibrate, integer_copy
from skd_mm.distillers.networks import build_network
from tests.helpers import network, unet

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

SIZE = (3, 32, 32)


def exported(cfg, folder, **transform):
    from skd_mm.deploy.onnx import export_onnx
    torch.manual_seed(0)
    student = build_network(dict(cfg, transform=dict(type='FakeQuantize', **transform)), 'student').eval()
    images = torch.randn(4, *SIZE)
    calibrate(student, lambda: student(images, mode='tensor'))
    copy = integer_copy(student)
    copy.forward = lambda images: type(copy).forward(copy, images, mode='tensor')
    file = folder / 'student.onnx'
    export_onnx(copy, images, file, dynamic='batch', tolerance=1, metadata=dict(kept='yes'))
    return student, images, file


def operators(file, folder):
    """How often each operator is in the graph that onnxruntime runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / 'optimised.onnx')
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(file), options, providers=['CPUExecutionProvider'])
    names = [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]
    return {name: names.count(name) for name in names}


def ranges(file):
    """The step of the activations at each tensor that is quantised."""
    graph = onnx.load(file).graph
    steps = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return {node.input[0]: float(steps[node.input[1]]) for node in graph.node if node.op_type == 'QuantizeLinear'}


@pytest.mark.slow
def test_additions_and_concatenations_work_on_integers(tmp_path):
    from skd_mm.deploy.integer_graph import quantize_between_layers
    from skd_mm.deploy.onnx import OnnxNetwork
    student, images, file = exported(unet(), tmp_path)
    before, trained = operators(file, tmp_path), ranges(file)
    layers = sum(before.get(name, 0) for name in ('Conv', 'FusedConv', 'QLinearConv'))
    assert before['QLinearConv'] < layers / 2 and 'QLinearAdd' not in before
    assert quantize_between_layers(file, [images]) is None
    after, found = operators(file, tmp_path), ranges(file)
    # All layers but the last one, and all that is between them.
    assert (after['QLinearConv'], after['Conv']) == (layers - 1, 1)
    assert after['QLinearAdd'] == 4 and after['QLinearConcat'] == 4 and 'Add' not in after and 'Concat' not in after
    # Trained ranges stay; pooling and resizing have that of their input.
    kept = [name for name, step in trained.items() if found.get(name) == step]
    assert len(kept) >= 0.8 * len(trained) and len(found) > len(trained)
    with torch.no_grad():
        expected = student(images, mode='tensor')
    result = OnnxNetwork(file)
    assert result.metadata['kept'] == 'yes' and not list(tmp_path.glob('.*'))
    assert (result(images) - expected).norm() < 0.1 * expected.norm()


@pytest.mark.slow
def test_what_cannot_be_completed_stays_as_it_is(tmp_path):
    from skd_mm.deploy.integer_graph import quantize_between_layers
    _, images, file = exported(network(), tmp_path, activation_bits=4)
    content = file.read_bytes()
    assert 'fewer than 8 bits' in quantize_between_layers(file, [images])
    assert file.read_bytes() == content
