import torch

from skd_mm.models import LabelDiscriminator


def test_positions_are_judged_by_themselves():
    judge = LabelDiscriminator(5).eval()
    maps, labels = torch.rand(2, 5, 3, 4), torch.randint(0, 5, (2, 3, 4))
    odds = judge(maps, labels)
    assert odds.shape == (2, 3, 4)
    torch.testing.assert_close(odds[:, 1, 2], judge(maps[:, :, 1, 2], labels[:, 1, 2]))


def test_it_knows_the_label():
    judge = LabelDiscriminator(5).eval()
    rows = torch.rand(1, 5).expand(2, 5)
    one, other = judge(rows, torch.tensor([0, 1]))
    assert (one - other).abs() > 1e-3


def test_layers_have_norm_one_and_the_widths_that_are_said():
    torch.manual_seed(0)
    judge = LabelDiscriminator(7).train()
    for _ in range(50):
        judge(torch.rand(3, 7), torch.tensor([0, 1, 2]))
    layers = [layer for layer in judge.layers if hasattr(layer, 'weight')]
    assert [tuple(layer.weight.shape) for layer in layers] == [(256, 71), (128, 256), (1, 128)]
    for layer in layers:
        assert abs(torch.linalg.matrix_norm(layer.weight, 2).item() - 1) < 0.05
