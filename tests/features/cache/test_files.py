import resource
from contextlib import contextmanager

import pytest
import torch

from skd_mm.features import FeatureCache, FeatureFiles
from skd_mm.features.cache import files


def make(folder, key='k', memory=0, limit=2**20, dtype=None):
    return FeatureCache(memory, FeatureFiles(folder, lambda: key, limit), dtype)


def features(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {'x': torch.randn(count, 3, 4, 5, generator=generator),
            'y': (torch.randn(count, 2, generator=generator), [torch.arange(count)])}


def assert_same(found, expected, order):
    assert torch.equal(found['x'], expected['x'][order])
    assert torch.equal(found['y'][0], expected['y'][0][order])
    assert found['y'][1][0].tolist() == expected['y'][1][0][order].tolist()


def test_what_memory_has_no_room_for_lies_on_the_disk(tmp_path):
    stored = features(4)
    cache = make(tmp_path / 'cache', memory=600)  # two samples of 256 bytes
    cache.put(['a', 'b'], dict(features(4).items()) | {
        'x': stored['x'][:2], 'y': (stored['y'][0][:2], [stored['y'][1][0][:2]])})
    assert not list((tmp_path / 'cache').glob('*/*'))
    cache.put(['a', 'b', 'c', 'd'], stored)
    assert len(list((tmp_path / 'cache').glob('k/*.pt'))) == 1 and not cache.full
    assert_same(cache.get(['d', 'a', 'c', 'b']), stored, [3, 0, 2, 1])
    assert cache.bytes <= 600 and cache.files.bytes > 0


def test_another_process_reads_what_is_there(tmp_path):
    stored = features(4)
    make(tmp_path).put([('i', 0), ('i', 1), ('i', 2, None), 'd'], stored)
    again = make(tmp_path)
    assert_same(again.get(['d', ('i', 1)]), stored, [3, 1])
    more = features(2, seed=1)
    again.put(['e', 'f'], more)
    assert_same(make(tmp_path).get(['f', 'e']), more, [1, 0])
    assert_same(make(tmp_path).get([('i', 0)]), stored, [0])


def test_what_depends_on_something_else_is_not_read_and_removed(tmp_path):
    make(tmp_path, 'one').put(['a', 'b'], features(2))
    other = make(tmp_path, 'other')
    assert other.get(['a', 'b']) is None
    assert not (tmp_path / 'one').exists()


def test_the_key_is_asked_for_when_the_first_feature_is(tmp_path):
    asked = []
    cache = FeatureCache(2**20, FeatureFiles(tmp_path, lambda: asked.append(1) or 'k', 2**20))
    assert not asked
    cache.get(['a'])
    cache.put(['a'], features(1))
    assert asked == [1]


def test_the_limit_is_kept(tmp_path):
    cache = make(tmp_path, limit=2 * 256 + 10)
    cache.put(['a', 'b'], features(2))
    cache.put(['c'], features(1))
    assert cache.full and cache.get(['a']) is not None and cache.get(['c']) is None
    assert len(list(tmp_path.glob('k/*'))) == 1


@pytest.mark.parametrize('damage', ['cut', 'empty', 'nonsense', 'unfinished'])
def test_half_a_file_is_never_read(tmp_path, damage):
    cache = make(tmp_path)
    stored = features(2)
    cache.put(['a', 'b'], features(2, seed=5))
    cache.put(['c', 'd'], stored)
    file = tmp_path / 'k/00000000.pt'
    content = file.read_bytes()
    if damage == 'unfinished':
        file.rename(file.with_suffix('.tmp'))
    else:
        file.write_bytes(dict(cut=content[:len(content) // 2], empty=b'', nonsense=b'x' * len(content))[damage])
    again = make(tmp_path)
    assert again.get(['a']) is None
    assert_same(again.get(['c', 'd']), stored, [0, 1])
    assert len(list(tmp_path.glob('k/*'))) == 1
    again.put(['a', 'b'], stored)
    assert_same(make(tmp_path).get(['a', 'c']), dict(stored.items()), [0, 0])


@contextmanager
def small_files(limit):
    """No file of this process may be larger; as on a full disk, writing fails half way."""
    was = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, was[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, was)


@pytest.mark.parametrize('trouble', ['no room in the middle', 'little room', 'no folder'])
def test_where_nothing_can_be_written_the_run_goes_on(tmp_path, monkeypatch, trouble):
    cache = make(tmp_path / 'cache')
    cache.put(['a'], features(1))
    if trouble == 'no room in the middle':
        with small_files(1000):
            cache.put(['b', 'c', 'd', 'e'], features(4))
    elif trouble == 'little room':
        monkeypatch.setattr(files, 'RESERVE', 2**60)
        cache.put(['b', 'c', 'd', 'e'], features(4))
    else:
        cache = make(tmp_path / 'file' / 'cache')
        (tmp_path / 'file').write_text('')
        cache.put(['b', 'c', 'd', 'e'], features(4))
    assert cache.full and cache.get(['b']) is None
    cache.put(['f'], features(1))  # no second try
    assert cache.get(['f']) is None
    if trouble != 'no folder':
        assert_same(cache.get(['a']), features(1), [0])
        assert [file.name for file in (tmp_path / 'cache/k').iterdir()] == ['00000000.pt']


def test_what_is_read_does_not_write_to_the_file(tmp_path):
    cache = make(tmp_path)
    cache.put(['a', 'b'], features(2))
    cache.get(['a', 'b'])['x'].zero_()
    assert_same(cache.get(['a', 'b']), features(2), [0, 1])


def test_removing_leaves_nothing(tmp_path):
    cache = make(tmp_path / 'run/rank0')
    cache.put(['a'], features(1))
    cache.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('memory', [0, 2**20])
def test_half_precision_is_read_back_as_it_was_given_out(tmp_path, memory):
    stored = {'x': torch.randn(2, 3), 'y': (torch.randn(2, 3), torch.arange(2)), 'z': torch.randn(2).bfloat16()}
    cache = make(tmp_path, memory=memory, dtype=torch.bfloat16)
    given = cache.put(['a', 'b'], stored)
    for found in (given, cache.get(['a', 'b']), *([make(tmp_path, dtype=torch.bfloat16).get(['a', 'b'])]
                                                 if not memory else [])):
        assert torch.equal(found['x'], stored['x'].bfloat16().float()) and found['x'].dtype == torch.float32
        assert torch.equal(found['y'][0], stored['y'][0])  # not of one type: kept as it is
        assert torch.equal(found['z'], stored['z']) and found['z'].dtype == torch.bfloat16
    assert not torch.equal(given['x'], stored['x'])


@pytest.mark.parametrize('memory', [0, 2**20])
def test_channels_last_stays(tmp_path, memory):
    cache = make(tmp_path, memory=memory)
    feature = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    cache.put(['a', 'b'], {'x': feature})
    found = cache.get(['a', 'b'])['x']
    assert torch.equal(found, feature) and found.stride() == feature.stride()
