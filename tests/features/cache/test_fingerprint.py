import importlib.util
import os
import sys

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from mmengine.registry import init_default_scope
from torch import nn

from skd_mm.features import fingerprint, samples_of, structure_of
from skd_mm.features.cache.fingerprint import code_version
from tests.helpers import PIPELINE, RANDOM, ToySegDataset

# The function hides its module's name.
module = sys.modules[code_version.__module__]


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
        sys.modules['own'] = module
        spec.loader.exec_module(module)
        seen.add(fingerprint(module.Own))
        del sys.modules['own']
    assert len(seen) == 2


def test_the_code_is_part_of_it(monkeypatch):
    was = fingerprint(1)
    monkeypatch.setattr(module, 'code_version', lambda: 'another')
    assert fingerprint(1) != was


def test_a_data_set_is_its_samples_and_its_transforms():
    init_default_scope('mmseg')
    def of(indices=None, **changes):
        return fingerprint(samples_of(ToySegDataset(**{**dict(pipeline=PIPELINE), **changes}), indices))

    assert of() == of()
    assert len({of(), of(images=11), of(first=1), of(pipeline=RANDOM), of(indices=[0, 1]), of(indices=[0, 2])}) == 6


class Files(BaseDataset):
    """Samples that are files in a folder."""

    def __init__(self, folder, count, **kwargs):
        self.folder, self.count = folder, count
        super().__init__(pipeline=[], **kwargs)

    def load_data_list(self):
        return [dict(img_path=f'{self.folder}/{i}.png', gt_label=i) for i in range(self.count)]


@pytest.mark.parametrize('serialize', [True, False])
def test_a_data_set_is_its_files(tmp_path, serialize):
    def of(count=3, indices=None):
        return fingerprint(samples_of(Files(tmp_path, count, serialize_data=serialize), indices))

    def touch(name, ns):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, ns=(ns, ns))
        return of()

    seen = [of(), of(4), of(indices=[1, 2]), touch('1.png', 5), touch('1.png', 6), touch('2.png', 6)]
    assert len(set(seen)) == 6 and of() == seen[-1] and touch('3.png', 5) == seen[-1]


@pytest.mark.parametrize('serialize', [True, False])
def test_a_data_set_is_its_annotations(serialize):
    def of(labels, indices=None):
        dataset = Files.__new__(Files)
        dataset.load_data_list = lambda: [dict(gt_label=label) for label in labels]
        BaseDataset.__init__(dataset, pipeline=[], serialize_data=serialize)
        return fingerprint(samples_of(dataset, indices))

    assert of([1, 2, 3]) == of([1, 2, 3])
    assert len({of([1, 2, 3]), of([1, 2, 4]), of([1, 2, 2], [0, 1]), of([1, 2, 2], [0, 2])}) == 4


def test_of_many_samples_some_files_are_looked_at(tmp_path, monkeypatch):
    looked, files = [], module._files
    monkeypatch.setattr(module, '_FILES', 10)
    monkeypatch.setattr(module, '_files', lambda info: looked.append(info['gt_label']) or files(info))
    samples_of(Files(tmp_path, 35))
    assert looked == list(range(0, 35, 4))
    assert fingerprint(samples_of(Files(tmp_path, 35))) != fingerprint(samples_of(Files(tmp_path, 36)))
    looked.clear()
    samples_of(Files(tmp_path, 10))
    assert len(looked) == 10


def test_wrapped_data_sets_are_opened(tmp_path):
    def of(*counts, times=1):
        parts = ConcatDataset([Files(tmp_path, count) for count in counts])
        return fingerprint(samples_of(RepeatDataset(parts.datasets[0], times) if times > 1 else parts))

    assert of(2, 3) == of(2, 3)
    assert len({of(2, 3), of(3, 2), of(5), of(5, times=2), of(5, times=3)}) == 5
    (tmp_path / '1.png').touch()
    before = of(2, 3)
    os.utime(tmp_path / '1.png', ns=(1, 1))
    assert of(2, 3) != before


def test_any_other_data_set_is_its_class_and_length():
    assert fingerprint(samples_of([1, 2])) == fingerprint(samples_of([3, 4])) != fingerprint(samples_of([3]))
