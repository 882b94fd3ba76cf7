import time

import pytest
import torch
from torch import nn

from skd_mm.deploy.latency import measure_latency


class Sleeping(nn.Module):
    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.threads = seconds, []

    def forward(self, x):
        assert torch.is_inference_mode_enabled()
        self.threads.append(torch.get_num_threads())
        time.sleep(self.seconds)


def test_networks_are_timed_with_each_number_of_threads():
    slow, fast = Sleeping(0.02), Sleeping(0)
    before = torch.get_num_threads()
    found = measure_latency(dict(slow=slow, fast=fast), torch.zeros(1), threads=(1, 2), rounds=3, warmup=1)
    assert slow.threads == [1] * 4 + [2] * 4 and torch.get_num_threads() == before
    assert [latency.threads for latency in found['slow']] == [1, 2]
    for latency in found['slow']:
        assert 20 <= latency.fastest <= latency.low <= latency.median <= latency.high
        assert latency.to_dict()['rounds'] == 3
    assert found['fast'][0].median < found['slow'][0].median


def test_onnx_files_are_timed_too(tmp_path):
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    from skd_mm.deploy.onnx import export_onnx

    model, images = nn.Conv2d(3, 2, 3), torch.randn(1, 3, 8, 8)
    export_onnx(model, images, tmp_path / 'net.onnx', dynamic='fixed')
    found = measure_latency({'file': tmp_path / 'net.onnx', 'torch': model}, images, threads=(1,), rounds=2)
    assert found['file'][0].median > 0


@pytest.mark.parametrize('arguments, match', [
    (dict(threads=(0,)), 'at least one thread'),
    (dict(rounds=0), 'one round'),
    (dict(clock='sun'), "'sun' is not one"),
])
def test_bad_settings_are_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        measure_latency({}, torch.zeros(1), **arguments)
