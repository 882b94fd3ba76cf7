import pytest
import torch

from skd_mm.connectors import KeptChannels


@pytest.mark.parametrize('shape', [(2, 5, 3, 4), (2, 5)])
def test_selects_the_channels_that_were_kept(shape):
    feature, pruned = torch.randn(*shape), torch.zeros(2, 3, *shape[2:])
    connector = KeptChannels(5, 3)
    connector.keep([0, 2, 4])
    assert torch.equal(connector(feature, pruned), feature[:, ::2])


def test_its_channels_are_in_its_checkpoint_and_it_has_nothing_to_train():
    one, other = KeptChannels(5, 2), KeptChannels(5, 2)
    one.keep([1, 3])
    other.load_state_dict(one.state_dict())
    assert other.channels.tolist() == [1, 3]
    assert not list(one.parameters())


def test_wrong_numbers_of_channels_are_refused():
    with pytest.raises(ValueError, match='cannot keep 6 of 5 channels'):
        KeptChannels(5, 6)
    with pytest.raises(ValueError, match='the pruned feature has 2 channels, and 3 were kept'):
        KeptChannels(5, 2).keep([0, 1, 2])
