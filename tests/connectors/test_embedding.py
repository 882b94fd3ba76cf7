import torch

from skd_mm.connectors import Embed


def test_is_a_linear_map_of_the_pooled_feature():
    embed, feature = Embed(3), torch.randn(2, 3, 4, 5)
    expected = feature.mean((2, 3)) @ embed.linear.weight.t() + embed.linear.bias
    torch.testing.assert_close(embed(feature, None), expected)
    torch.testing.assert_close(embed(feature.mean((2, 3)), None), expected)
    assert expected.shape == (2, 128)


def test_both_sides_come_to_the_same_dimensions():
    assert Embed(3, 7, dim=5)(torch.randn(2, 3), None).shape == (2, 5)
    assert Embed(7, 3, dim=5)(torch.randn(2, 7), None).shape == (2, 5)


def test_length_one_to_float32_under_autocast_too():
    embed, feature = Embed(30, normalize=True), torch.randn(9, 30)
    plain = Embed(30)
    plain.load_state_dict(embed.state_dict())
    expected = plain(feature, None)
    torch.testing.assert_close(embed(feature, None) * expected.norm(dim=1, keepdim=True), expected)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        embedding = embed(feature, None)
    assert embedding.dtype == torch.float32
    torch.testing.assert_close(embedding.square().sum(1), torch.ones(9), rtol=1e-5, atol=0)
