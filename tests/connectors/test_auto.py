import pytest

from skd_mm.connectors.auto import auto_connectors
from skd_mm.utils import Layout

VECTOR, MAP, SMALL = Layout('vector', 8), Layout('map', 8, (4, 8)), Layout('map', 6, (2, 4))
TOKENS, LAST = Layout('tokens', 8, (4, 8)), Layout('channels_last', 8, (4, 8))
VIT = Layout('tokens', 6, (2, 4), 1)


@pytest.mark.parametrize(('feature', 'reference', 'own', 'other'), [
    (VECTOR, VECTOR, [], []),
    (VECTOR, Layout('vector', 6), ['Linear'], []),
    (MAP, MAP, [], []),
    (SMALL, MAP, ['Conv1x1', 'Resize'], []),
    (MAP, TOKENS, [], ['TokensToMap']),
    (TOKENS, MAP, ['TokensToMap'], []),
    (MAP, VIT, ['Conv1x1', 'Resize'], ['TokensToMap']),
    (VIT, MAP, ['TokensToMap', 'Conv1x1', 'Resize'], []),
    (TOKENS, VIT, ['TokensToMap', 'Conv1x1', 'Resize'], ['TokensToMap']),
    (TOKENS, TOKENS, [], []),
    (VIT, VIT._replace(channels=4), ['Linear'], []),
    (VIT, VIT._replace(extra_tokens=5), ['TokensToMap'], ['TokensToMap']),
    (LAST, MAP, ['ChannelsFirst'], []),
    (LAST, LAST._replace(channels=4), ['ChannelsFirst', 'Conv1x1'], ['ChannelsFirst']),
    (MAP, VECTOR, ['GlobalPool'], []),
    (Layout('vector', 4), VIT, ['Linear'], ['TokensToMap', 'GlobalPool']),
    (LAST, Layout('vector', 4), ['ChannelsFirst', 'GlobalPool', 'Linear'], []),
])
def test_what_differs_is_bridged(feature, reference, own, other):
    chosen = auto_connectors(feature, reference)
    assert [[cfg['type'] for cfg in side] for side in chosen] == [own, other]
    for layout, cfgs in zip((feature, reference), chosen, strict=True):
        assert all(cfg.get('extra_tokens', layout.extra_tokens) == layout.extra_tokens for cfg in cfgs)


def test_features_of_other_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"connector='auto' bridges vectors \[B, C\], tokens .* only"):
        auto_connectors(Layout('other', 3), MAP)
