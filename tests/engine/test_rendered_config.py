"""The text of a config is rendered once."""

import copy

import pytest
from mmengine.config import Config

from skd_mm.engine.rendered_config import RenderedConfig


@pytest.fixture
def rendered(monkeypatch):
    """A rendered config, the config that it was made of, and the texts that were rendered since."""
    cfg = Config(dict(a=1, model=dict(type='x', widths=[1, 2])))
    texts = []
    render = Config.pretty_text.fget
    monkeypatch.setattr(Config, 'pretty_text', property(lambda self: texts.append(render(self)) or texts[-1]))
    return RenderedConfig.of(cfg), cfg, texts


def test_the_text_is_the_configs_and_is_rendered_once(rendered):
    one, cfg, texts = rendered
    assert isinstance(one, Config) and one.model.type == 'x'
    assert one.pretty_text == one.pretty_text and len(texts) == 1
    assert one.pretty_text == cfg.pretty_text


@pytest.mark.parametrize('change', [
    lambda cfg: cfg.merge_from_dict({'model.type': 'y'}), lambda cfg: cfg.model.widths.append(3),
    lambda cfg: setattr(cfg, 'a', 2)])
def test_a_change_is_in_the_text(rendered, change):
    one, _, _ = rendered
    before = one.pretty_text
    change(one)
    assert one.pretty_text != before and one.pretty_text == Config(one.to_dict()).pretty_text
    assert copy.deepcopy(one).pretty_text == one.pretty_text
