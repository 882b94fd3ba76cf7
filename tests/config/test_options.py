"""Settings of the command line."""

import pytest
from mmengine.config import Config

from skd_mm.config import merge_options, parse_options


@pytest.mark.parametrize(('option', 'value'), [
    ('x=0.1', 0.1), ('x=true', True), ('x=a,b', ['a', 'b']), ('x=[(1,2),c]', [(1, 2), 'c']), ('x=a=b', 'a=b'),
    ("x={'model.decode_head.num_classes': 12}", {'model.decode_head.num_classes': 12}),
    ("x={'a': [1, 2], 'b.c': None}", {'a': [1, 2], 'b.c': None}),
    ("x=[{'student': 'backbone.layer1', 'weight': .5}]", [{'student': 'backbone.layer1', 'weight': .5}])])
def test_values(option, value):
    assert parse_options([option]) == {'x': value}


@pytest.mark.parametrize(('option', 'words'), [
    ('x', '--cfg-options x: a setting has the form KEY=VALUE'), ('x={a: 1}', 'strings in a dict are quoted'),
    ("x={'a': 1", 'cannot be parsed'), ('x=[1,(2]', 'cannot be parsed')])
def test_settings_that_cannot_be_parsed(option, words):
    with pytest.raises(ValueError, match=r'^--cfg-options ') as caught:
        parse_options([option])
    assert words in str(caught.value)


def test_the_last_setting_of_a_key_wins_and_dicts_are_merged():
    cfg = Config(dict(a=dict(b=1, c=2), spots=['x', 'y']))
    merge_options(cfg, parse_options(['a.b=2', 'a.b=3', "a.options={'m.n': 4}"]))
    assert cfg.to_dict() == dict(a=dict(b=3, c=2, options={'m.n': 4}), spots=['x', 'y'])


@pytest.mark.parametrize(('key', 'message'), [
    ('spots.0.student', "--cfg-options spots.0.student=1: it cannot be set, as spots.0 is 'x'"),
    ('spots.7.student', "--cfg-options spots.7.student=1: it cannot be set, as spots is \"['x', 'y']\": give the whole "
     'list, spots="[...]"'),
    ('a.b.c', "--cfg-options a.b.c=1: it cannot be set, as a.b is '5'")])
def test_a_setting_without_a_place(key, message):
    with pytest.raises(ValueError) as caught:
        merge_options(Config(dict(a=dict(b=5), spots=['x', 'y'])), {key: 1})
    assert str(caught.value) == message
