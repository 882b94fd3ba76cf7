"""Fake quantisation: ranges, gradients, folding, checkpoints and the exported file."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from skd_mm.config import ConfigError, check_config
from skd_mm.deploy.export import export_student
from skd_mm.deploy.quantisation import (
    ActivationQuantizer,
    FixedBatchNorm,
    WeightQuantizer,
    calibrate,
    integer_copy,
    quantized_layers,
    uncalibrated,
)
from skd_mm.distillers.networks import build_network, load_weights
from tests.helpers import SIDE, SPOTS, batch, build_distiller, config, network, state, total

FOUR_BITS = dict(type='FakeQuantize', bits=4, first_last_bits=4)


def float_network(seed=0, **changes):
    """A network whose BN does something."""
    torch.manual_seed(seed)
    init_default_scope('mmseg')
    model = MODELS.build(network(**changes)).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias, 0, 0.3)
    return model


@pytest.fixture
def pair(tmp_path):
    """A network, and its quantised version with the same weights."""
    model = float_network()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'float.pth')
    student = build_network(dict(network(), transform=FOUR_BITS), 'student').eval()
    load_weights(student, str(tmp_path / 'float.pth'), 'student')
    return model, student


def outputs(model, inputs):
    return model(inputs, mode='tensor')


def test_quantized_values_lie_on_the_grid():
    values = torch.linspace(-1.3, 2.9, 1001)
    quantizer = ActivationQuantizer(4)
    quantizer.fit(values.view(1, -1))
    rounded = quantizer(values).detach()
    integers = rounded / quantizer.step.detach() + quantizer.zero_point
    torch.testing.assert_close(integers, integers.round(), atol=1e-4, rtol=0)
    assert integers.round().min() == 0 and integers.round().max() == 15
    assert (rounded - values).abs().max() <= 0.75 * quantizer.step  # the ends may be clipped a little
    assert quantizer(torch.zeros(3)).tolist() == [0, 0, 0]


def test_zero_is_on_the_grid_of_positive_values():
    quantizer = ActivationQuantizer(8)
    quantizer.fit(torch.linspace(3, 4, 100).view(1, -1))
    assert quantizer.zero_point == 0
    torch.testing.assert_close(quantizer.step.detach() * 255, torch.tensor(4.), rtol=0.02, atol=0)


def test_each_output_channel_of_a_weight_has_its_own_range():
    weight = torch.randn(3, 5, 3, 3) * torch.tensor([0.01, 1, 100]).view(-1, 1, 1, 1)
    quantizer = WeightQuantizer(8, 3)
    quantizer.fit(weight.flatten(1))
    error = (quantizer(weight) - weight).abs().flatten(1).amax(1) / weight.abs().flatten(1).amax(1)
    assert error.max() < 0.02
    assert torch.equal(quantizer.integers(weight).float() * quantizer.step.view(-1, 1, 1, 1), quantizer(weight))


def test_few_bits_clip_outliers_to_lower_the_squared_error():
    values = torch.cat([torch.randn(1, 5000), torch.tensor([[25.]])], dim=1)
    quantizer = WeightQuantizer(4, 1)
    quantizer.fit(values)
    widest = 25. / 7
    assert quantizer.step.item() < 0.6 * widest
    error = (quantizer(values) - values).square().sum()
    assert error < ((values / widest).round() * widest - values).square().sum()


def test_a_channel_of_zeros_stays_zero():
    quantizer = WeightQuantizer(4, 2)
    quantizer.fit(torch.tensor([[0., 0., 0.], [1., 2., 3.]]))
    rounded = quantizer(torch.tensor([[0., 0., 0.], [1., 2., 3.]]))
    assert rounded[0].tolist() == [0, 0, 0] and rounded.isfinite().all()


def test_gradients_pass_inside_the_range_and_train_the_step():
    quantizer = ActivationQuantizer(2)
    with torch.no_grad():
        quantizer.log_step.fill_(0)  # levels 0, 1, 2, 3
    x = torch.tensor([-1., 0.2, 1.7, 3.2, 9.], requires_grad=True)
    rounded = quantizer(x)
    assert rounded.tolist() == [0, 0, 2, 3, 3]
    rounded.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]
    # LSQ, equation 3: the rounding error inside, the last level outside; the step is exp(log_step) = 1.
    expected = (0 + (0 - 0.2) + (2 - 1.7) + (3 - 3.2) + 3) / (5 * 3)**0.5
    torch.testing.assert_close(quantizer.log_step.grad, torch.tensor(expected))


def test_the_gradient_of_a_weight_step_is_that_of_its_channel():
    quantizer = WeightQuantizer(2, 2)  # levels -2 … 1
    weight = torch.tensor([[0.3, 5.], [-9., 0.4]])
    (quantizer(weight) * torch.tensor([[1., 1.], [10., 10.]])).sum().backward()
    expected = torch.tensor([(0 - 0.3) + 1, 10 * (-2 + (0 - 0.4))]) / (2 * 1)**0.5
    torch.testing.assert_close(quantizer.log_step.grad, expected)


def test_bn_is_folded_and_nothing_else_changes(pair):
    model, student = pair
    inputs, _ = batch()
    for layer in quantized_layers(student).values():
        layer.weight_quantizer.enabled = layer.input_quantizer.enabled = False
    torch.testing.assert_close(outputs(student, inputs), outputs(model, inputs), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in student.modules())
    assert len(quantized_layers(student)) == 5


def test_bn_whose_convolution_is_read_elsewhere_is_not_folded():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4)
            self.conv2, self.norm2 = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x, mode='tensor'):
            x = self.conv(x)
            return self.norm2(self.conv2(x + self.norm(x)))

    from skd_mm.deploy.quantisation import FakeQuantize
    model = Branching()
    model.norm.running_mean.fill_(3)
    FakeQuantize()(model)
    assert isinstance(model.norm, FixedBatchNorm) and isinstance(model.norm2, nn.Identity)
    assert model.norm.running_mean.tolist() == [3, 3, 3, 3]
    model.train()
    model(torch.randn(2, 3, 4, 4)).sum().backward()
    assert model.norm.running_mean.tolist() == [3, 3, 3, 3] and model.norm.weight.grad is not None


def test_calibration_makes_the_network_as_exact_as_its_bits(pair):
    model, student = pair
    inputs, _ = batch(8)
    expected = outputs(model, inputs)
    assert len(uncalibrated(student)) == 10
    before = {name: value for name, value in state(student).items() if 'quantizer' not in name}
    errors = {}
    for bits in (4, 8):
        for layer in quantized_layers(student).values():
            quantizer = layer.weight_quantizer
            quantizer.low, quantizer.high = -2**(bits - 1), 2**(bits - 1) - 1
        calibrate(student, lambda: outputs(student, inputs))
        errors[bits] = ((outputs(student, inputs) - expected).norm() / expected.norm()).item()
    assert uncalibrated(student) == []
    assert 0.001 < errors[8] < 0.05 < errors[4] < 0.5
    assert all(torch.equal(value, state(student)[name]) for name, value in before.items())


def test_a_layer_that_calibration_does_not_run_is_an_error(pair):
    _, student = pair
    with pytest.raises(ValueError, match=r'not run on the calibration images.*decode_head\.conv_seg'):
        calibrate(student, lambda: student.backbone(batch()[0]))


def test_checkpoints_with_and_without_quantisation_can_be_loaded(pair, tmp_path):
    model, student = pair
    inputs, _ = batch()
    calibrate(student, lambda: outputs(student, inputs))
    torch.save(dict(state_dict=student.state_dict()), tmp_path / 'quantised.pth')
    other = build_network(dict(network(), transform=FOUR_BITS), 'student').eval()
    load_weights(other, str(tmp_path / 'quantised.pth'), 'student')
    assert torch.equal(outputs(other, inputs), outputs(student, inputs)) and uncalibrated(other) == []
    # The ranges of other weights are not kept. A distiller's prefix makes no difference.
    outer = nn.ModuleDict(dict(student=other))
    outer.load_state_dict({f'student.{key}': value for key, value in model.state_dict().items()})
    assert len(uncalibrated(other)) == 10
    # A checkpoint with some of the ranges is damaged.
    partial = {key: value for key, value in student.state_dict().items() if 'layers.1.0.input_quantizer' not in key}
    torch.save(dict(state_dict=partial), tmp_path / 'partial.pth')
    with pytest.raises(ValueError, match=r'missing backbone\.layers\.1\.0\.input_quantizer\.log_step'):
        load_weights(other, str(tmp_path / 'partial.pth'), 'student')


def test_layers_keep_their_bits():
    transform = dict(type='FakeQuantize', bits=4, activation_bits=6, skip=['decode_head.convs'])
    student = build_network(dict(network(), transform=transform), 'student')
    bits = {path: layer.weight_quantizer.bits for path, layer in quantized_layers(student).items()}
    assert bits == {'backbone.layers.0.0': 8, 'backbone.layers.1.0': 4, 'backbone.layers.2.0': 4,
                    'decode_head.conv_seg': 8}
    assert {layer.input_quantizer.high for layer in quantized_layers(student).values()} == {63}


def test_the_stages_of_a_student_have_their_steps():
    distiller = build_distiller(student=dict(network(), transform=FOUR_BITS), teacher=network())
    distiller.activate([SPOTS[1]], [SPOTS[1]])
    own = 'student.backbone.layers.1.0.'
    assert set(distiller.trainable()) == {f'{own}{name}' for name in (
        'weight', 'bias', 'weight_quantizer.log_step', 'input_quantizer.log_step')}
    calibrate(distiller.student, lambda: outputs(distiller.student, batch()[0]))
    frozen = {name: value for name, value in state(distiller).items() if name not in distiller.trainable()}
    distiller.train()
    optimizer = torch.optim.SGD(distiller.trainable().values(), lr=0.1)
    total(distiller.loss(*batch())).backward()
    assert all(parameter.grad is not None for parameter in distiller.trainable().values())
    optimizer.step()
    assert all(torch.equal(value, state(distiller)[name]) for name, value in frozen.items())


def test_a_copy_is_a_network_of_its_own(pair):
    _, student = pair
    calibrate(student, lambda: outputs(student, batch()[0]))
    other = copy.deepcopy(student)
    other.load_state_dict(float_network(1).state_dict())
    assert uncalibrated(student) == [] and len(uncalibrated(other)) == 10


@pytest.mark.slow
@pytest.mark.parametrize('bits', [8, 4])
def test_the_exported_file_gives_the_same_results(bits, tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('onnxscript')
    torch.manual_seed(0)
    student = build_network(dict(network(), transform=dict(FOUR_BITS, bits=bits, activation_bits=bits)), 'student')
    inputs, _ = batch(4)
    calibrate(student, lambda: outputs(student, inputs))
    student.eval()
    expected = outputs(student, inputs).detach().numpy()
    exported = integer_copy(student)
    torch.testing.assert_close(outputs(exported, inputs), outputs(student, inputs), rtol=1e-4, atol=1e-6)
    exported.forward = lambda images: type(exported).forward(exported, images, mode='tensor')
    program = torch.export.export(exported, (inputs, ), strict=False)
    torch.onnx.export(program, (), None, dynamo=True, verbose=False).save(tmp_path / 'student.onnx')

    graph = onnx.load(tmp_path / 'student.onnx').graph
    assert [node.op_type for node in graph.node].count('QuantizeLinear') == 5
    assert len([tensor for tensor in graph.initializer if len(tensor.dims) == 4]) == 5
    assert {tensor.data_type for tensor in graph.initializer if len(tensor.dims) == 4} == {onnx.TensorProto.INT8}
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(tmp_path / 'student.onnx', options)
    found = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})[0]
    assert abs(found - expected).max() <= 1e-4 * abs(expected).max()


def test_a_network_without_ranges_is_not_exported(pair):
    model, student = pair
    with pytest.raises(ValueError, match=r'10 of its ranges, such as that of backbone\.layers\.0\.0'):
        integer_copy(student)
    assert integer_copy(model) is model


def test_the_exported_config_builds_the_quantised_student(pair, tmp_path):
    _, student = pair
    calibrate(student, lambda: outputs(student, batch()[0]))
    torch.save(dict(state_dict={f'student.{key}': value for key, value in student.state_dict().items()},
                    meta=dict(dataset_meta=dict(classes=['a', 'b', 'c']))), tmp_path / 'iter_1.pth')
    cfg = config(tmp_path, model=dict(type='skd_mm.Distiller', student=dict(network(), transform=FOUR_BITS),
                                      teacher=network(), spots=SPOTS))
    cfg_file, weights = export_student(cfg, str(tmp_path / 'iter_1.pth'), tmp_path / 'out', 'student')
    exported = Config.fromfile(cfg_file)
    assert exported.custom_imports.imports == ['skd_mm'] and exported.model.backbone.type == 'mmengine.ToyBackbone'
    init_default_scope('mmseg')
    model = MODELS.build(exported.model).eval()
    model.load_state_dict(torch.load(weights, weights_only=True)['state_dict'])
    inputs = torch.randn(2, 3, SIDE, SIDE)
    assert torch.equal(outputs(model, inputs), outputs(student.eval(), inputs))


@pytest.mark.slow
def test_a_quantised_student_is_deployed_with_its_integers(pair, tmp_path):
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    from skd_mm.deploy.deployment import DeployOptions, deploy
    _, student = pair
    calibrate(student, lambda: outputs(student, batch()[0]))
    torch.save(dict(state_dict={f'student.{key}': value for key, value in student.state_dict().items()},
                    meta=dict(dataset_meta=dict(classes=['a', 'b', 'c']))), tmp_path / 'iter_1.pth')
    cfg = config(tmp_path, model=dict(type='skd_mm.Distiller', student=dict(network(), transform=FOUR_BITS),
                                      teacher=network(), spots=SPOTS))
    options = DeployOptions(threads=(1, ), rounds=2, warmup=1, images=2)
    results = deploy(cfg, str(tmp_path / 'iter_1.pth'), tmp_path / 'out', 'toy', options, lambda line: None)
    plain, file = results['files']
    assert file['difference'] < 0.1 and file['metrics']['mIoU'] == pytest.approx(plain['metrics']['mIoU'], abs=2)
    assert results['calibration_images'] > 0 and not any('float' in note for note in results['notes'])
    graph = onnx.load(tmp_path / 'out' / 'toy.onnx').graph
    assert 'QuantizeLinear' in {node.op_type for node in graph.node}
    with pytest.raises(ValueError, match="'onnx-int8' quantises a network in float"):
        deploy(cfg, str(tmp_path / 'iter_1.pth'), tmp_path / 'other', 'toy', DeployOptions(formats=('onnx-int8', )))
    assert not (tmp_path / 'other').exists()


def test_errors_in_a_config_are_reported_early(tmp_path):
    def errors(transform):
        cfg = config(tmp_path, model=dict(type='skd_mm.Distiller', student=dict(network(), transform=transform),
                                          teacher=network(), spots=SPOTS))
        with pytest.raises(ConfigError) as error:
            check_config(cfg)
        return str(error.value)

    unknown = "model.student.transform.type: there is no network transform 'FakeQuantise'; did you mean 'FakeQuantize'"
    assert unknown in errors(dict(type='FakeQuantise'))
    assert "did you mean 'bits'" in errors(dict(type='FakeQuantize', bit=4))
    assert 'model.student.transform[1]' in errors([FOUR_BITS, dict(type='FakeQuantize', nothing=1)])
    for key, value, words in [('bits', 16, 'bits must be a whole number from 2 to 8, not 16'),
                              ('calibration_images', 0, 'must be 1 or more'),
                              ('skip', ['backbone.layer.0'], r"no module 'backbone\.layer\.0'; did you mean"),
                              ('input_shape', (1, 8, 8), r'could not be run on zeros of shape \[1, 8, 8\]')]:
        with pytest.raises(ValueError, match=words):
            build_network(dict(network(), transform=dict(type='FakeQuantize', **{key: value})), 'student')
    with pytest.raises(ValueError, match='quantised already'):
        build_network(dict(network(), transform=[FOUR_BITS, FOUR_BITS]), 'student')
