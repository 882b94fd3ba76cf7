import importlib.util
import os

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

from skd_mm.features import fingerprint, samples_of, structure_of
from skd_mm.features import fingerprint as function
from tests.helpers import PIPELINE, RANDOM, ToySegDataset


def net(**changes):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, **changes), nn.BatchNorm2d(4))


def test_the_same_is_the_same():
    assert fingerprint(net(), {'a': [1, 2.5, None]}) == fingerprint(net(), {'a': [1, 2.5, None]})
    assert fingerprint(net().eval()) == fingerprint(net().train())


def change(model, what):
    if what == 'a weight':
        model[0].weight.data[0, 0, 0, 0] += 1e-7
    elif what == 'a buffer':
        model[1].running_mean[0] += 1e-7
    elif what == 'an attribute':
        model[1].eps = 1e-4
    elif what == 'a precision':
        model.double()
    return model


@pytest.mark.parametrize('what', ['a weight', 'a buffer', 'an attribute', 'a precision'])
def test_a_model_is_its_weights_its_buffers_and_its_attributes(what):
    assert fingerprint(change(net(), what)) != fingerprint(net())
    structure = fingerprint(structure_of(change(net(), what))) != fingerprint(structure_of(net()))
    assert structure == (what == 'an attribute')


def test_no_two_things_look_alike():
    parts = [(), (1,), (1.,), ('1',), (1, 2), (12,), ([1], 2), ([1, 2],), ({1: 2},), ('ab', 'c'), ('a', 'bc'), (None,),
             (torch.zeros(2),), (torch.zeros(2, 1),), (np.zeros(2),), (np.zeros(2, np.float32),), (b'a',), ('a',)]
    assert len({fingerprint(*part) for part in parts}) == len(parts)


def test_an_address_is_no_part_of_it():
    assert fingerprint(object()) == fingerprint(object())


def test_a_file_is_its_size_and_time(tmp_path):
    file = tmp_path / 'a'
    seen = {fingerprint(file)}
    for i, content in enumerate(('one', 'more')):
        file.write_text(content)
        os.utime(file, ns=(i, i))
        seen.add(fingerprint(file))
    os.utime(file, ns=(9, 9))
    assert len(seen | {fingerprint(file)}) == 4


def test_the_source_of_a_users_own_class(tmp_path):
    seen = set()
    for content in ('class Own: pass\n', 'class Own: x = 1\n'):
        file = tmp_path / f'{len(seen)}' / 'own.py'
        file.parent.mkdir()
        file.write_text(content)
        spec = importlib.util.spec_from_file_location('own', file)
        module = importlib.util.module_from_spec(spec)
        import sys
        sys.modules['own'] = module
        spec.loader.exec_module(module)
        seen.add(fingerprint(module.Own))
        del sys.modules['own']
    assert len(seen) == 2


def test_the_code_is_part_of_it(monkeypatch):
    import sys
    module = sys.modules[function.__module__]
    was = fingerprint(1)
    monkeypatch.setattr(module, 'code_version', lambda: 'another')
    assert fingerprint(1) != was


def test_a_data_set_is_its_samples_and_its_transforms():
    init_default_scope('mmseg')
    def of(indices=None, **changes):
        return fingerprint(samples_of(ToySegDataset(**{**dict(pipeline=PIPELINE), **changes}), indices))

    assert of() == of()
    assert len({of(), of(images=11), of(first=1), of(pipeline=RANDOM), of(indices=[0, 1]), of(indices=[0, 2])}) == 6
