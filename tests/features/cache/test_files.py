import json
import resource
import threading
from contextlib import contextmanager

import pytest
import torch

from skd_mm.features import FeatureCache, FeatureFiles
from skd_mm.features.cache import files


def make(folder, key='k', memory=0, limit=2**20, dtype=None, host=0):
    return FeatureCache(memory, FeatureFiles(folder, lambda: key, limit), dtype, host)


def features(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {'x': torch.randn(count, 3, 4, 5, generator=generator),
            'y': (torch.randn(count, 2, generator=generator), [torch.arange(count)])}


def assert_same(found, expected, order):
    assert torch.equal(found['x'], expected['x'][order])
    assert torch.equal(found['y'][0], expected['y'][0][order])
    assert found['y'][1][0].tolist() == expected['y'][1][0][order].tolist()


def first(count, stored):
    return {'x': stored['x'][:count], 'y': (stored['y'][0][:count], [stored['y'][1][0][:count]])}


def journal(folder):
    return [json.loads(line.split(' ', 1)[1]) for line in (folder / 'k/journal').read_text().splitlines()]


def test_samples_that_do_not_fit_into_memory_are_on_the_disk(tmp_path):
    stored = features(4)
    cache = make(tmp_path / 'cache', memory=600)  # two samples of 256 bytes
    cache.put(['a', 'b'], first(2, stored))
    assert not (tmp_path / 'cache/k').exists()
    cache.put(['a', 'b', 'c', 'd'], stored)
    cache.close()
    assert [line['keys'] for line in journal(tmp_path / 'cache')] == [['c', 'd']] and not cache.full
    assert_same(cache.get(['d', 'a', 'c', 'b']), stored, [3, 0, 2, 1])
    assert cache.bytes <= 600 and cache.files.bytes > 0


@pytest.mark.parametrize('memory, host', [(0, 0), (256, 256), (256, 512), (512, 256), (0, 300), (300, 0)])
def test_a_batch_may_be_in_all_tiers(tmp_path, memory, host):
    stored = features(4)
    cache = make(tmp_path, memory=memory, host=host)
    cache.put(['a', 'b', 'c', 'd'], stored)
    tiers = {block.tier: len(block) for block in cache._blocks}
    assert tiers.get('device', 0) == memory // 256 and tiers.get('host', 0) == host // 256
    assert tiers.get('disk', 0) == 4 - memory // 256 - host // 256
    for order in ([3, 0, 2, 1], [1, 2], [0]):
        assert_same(cache.get(['abcd'[i] for i in order]), stored, order)
    cache.close()
    assert_same(cache.get(list('abcd')), stored, [0, 1, 2, 3])


def test_another_process_reads_what_is_there(tmp_path):
    stored = features(4)
    cache = make(tmp_path)
    cache.put([('i', 0), ('i', 1), ('i', 2, None), 'd'], stored)
    cache.close()
    again = make(tmp_path)
    assert_same(again.get(['d', ('i', 1)]), stored, [3, 1])
    more = features(2, seed=1)
    again.put(['e', 'f'], more)
    again.close()
    assert_same(make(tmp_path).get(['f', 'e']), more, [1, 0])
    assert_same(make(tmp_path).get([('i', 0)]), stored, [0])


def test_features_with_other_dependencies_are_removed_unread(tmp_path):
    one = make(tmp_path, 'one')
    one.put(['a', 'b'], features(2))
    one.close()
    other = make(tmp_path, 'other')
    assert other.get(['a', 'b']) is None
    assert not (tmp_path / 'one').exists()


def test_the_key_is_computed_when_the_first_feature_is_looked_up(tmp_path):
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
    cache.close()
    assert [line['keys'] for line in journal(tmp_path)] == [['a', 'b']]


def test_a_file_has_many_batches_and_is_mapped_once(tmp_path, monkeypatch):
    monkeypatch.setattr(files, 'SHARD', 2000)
    cache, stored = make(tmp_path), features(12)
    for i in range(12):
        cache.put([i], {'x': stored['x'][i:i + 1], 'y': (stored['y'][0][i:i + 1], [stored['y'][1][0][i:i + 1]])})
    big = {'z': torch.randn(1, 1000)}  # larger than a file is else
    cache.put(['big'], big)
    cache.close()
    assert sorted(path.name for path in (tmp_path / 'k').glob('*.bin')) == [f'{i:08d}.bin' for i in range(4)]
    for one in (cache, make(tmp_path)):
        assert_same(one.get(list(range(12))), stored, list(range(12)))
        assert torch.equal(one.get(['big'])['z'], big['z'])
        with open('/proc/self/maps') as maps:
            assert len([line for line in maps if str(tmp_path) in line]) == 4 * (1 if one is cache else 2)


@pytest.mark.parametrize('damage', ['cut', 'cut at the start', 'empty', 'nonsense', 'one bit', 'a line',
                                    'half a line', 'the layout'])
def test_damaged_features_are_never_read(tmp_path, damage):
    cache, stored = make(tmp_path), features(2)
    cache.put(['c', 'd'], stored)
    cache.put(['a', 'b'], features(2, seed=5))
    cache.close()
    data, lines, layout = tmp_path / 'k/00000000.bin', tmp_path / 'k/journal', tmp_path / 'k/layout0.pt'
    offset = journal(tmp_path)[1]['offset']
    if damage in ('cut', 'cut at the start', 'empty', 'nonsense', 'one bit'):
        content = data.read_bytes()
        flipped = content[:offset + 7] + bytes([content[offset + 7] ^ 4]) + content[offset + 8:]
        data.write_bytes({'cut': content[:offset + 100], 'cut at the start': content[:10], 'empty': b'',
                          'nonsense': b'x' * len(content), 'one bit': flipped}[damage])
    elif damage == 'the layout':
        layout.write_bytes(layout.read_bytes()[:100])
    else:
        content = lines.read_text()
        lines.write_text(content.replace('"b"', '"x"') if damage == 'a line' else content[:-20])
    again = make(tmp_path)
    assert again.missing(['a', 'b', 'x']) == [0, 1, 2]
    whole = damage in ('cut at the start', 'empty', 'nonsense', 'the layout')
    assert again.missing(['c', 'd']) == ([0, 1] if whole else [])
    if not whole:
        assert_same(again.get(['c', 'd']), stored, [0, 1])
    again.put(['a', 'b'], stored)
    again.close()
    assert_same(again.get(['a', 'b']), stored, [0, 1])
    assert_same(make(tmp_path).get(['a', 'b']), stored, [0, 1])


def test_features_are_not_read_with_the_layout_of_others(tmp_path):
    cache = make(tmp_path)
    for key, feature in (('a', {'z': torch.ones(1)}), ('b', {'x': torch.randn(1, 4)}), ('c', {'z': torch.ones(1)})):
        cache.put([key], feature)
    cache.close()
    (tmp_path / 'k/layout1.pt').write_bytes(b'')
    cache = make(tmp_path)
    cache.put(['d'], {'y': torch.randn(1, 2, 2)})
    cache.close()
    assert make(tmp_path).missing(['a', 'b', 'c', 'd']) == [1]


def test_what_is_written_leaves_the_memory(tmp_path):
    cache = make(tmp_path)
    cache.put(['a', 'b'], features(2))
    cache.close()
    for tensor in cache._blocks[0].tensors:
        assert tensor.untyped_storage().nbytes() == (tmp_path / 'k/00000000.bin').stat().st_size


def test_features_that_are_not_written_yet_are_read_from_memory(tmp_path, monkeypatch):
    written = threading.Event()
    write = files._write_all
    monkeypatch.setattr(files, '_write_all', lambda *args: written.wait(60) and write(*args))
    cache, stored = make(tmp_path), features(2)
    cache.put(['a', 'b'], stored)
    given = features(2, seed=1)
    stored['x'].zero_()
    cache.put(['c', 'd'], given)
    assert (tmp_path / 'k/00000000.bin').exists() and not (tmp_path / 'k/journal').exists()
    assert_same(cache.get(['d', 'b']), {'x': torch.stack([features(2)['x'][1], given['x'][1]]),
                                        'y': (torch.stack([features(2)['y'][0][1], given['y'][0][1]]),
                                              [torch.tensor([1, 1])])}, [1, 0])
    written.set()
    cache.close()
    assert_same(make(tmp_path).get(['c', 'd']), given, [0, 1])


def test_few_batches_wait_to_be_written(tmp_path, monkeypatch):
    written = threading.Event()
    monkeypatch.setattr(files, '_write_all', lambda *args: written.wait(60))
    cache, count = make(tmp_path), []

    def fill():
        for i in range(20):
            cache.put([i], features(1))
            count.append(i)

    thread = threading.Thread(target=fill)
    thread.start()
    thread.join(1)
    assert len(count) == files._QUEUE
    written.set()
    thread.join(60)
    assert len(count) == 20
    cache.close()


def test_keys_that_json_does_not_have_are_read_by_this_process(tmp_path):
    cache = make(tmp_path)
    cache.put([b'a', 'b'], features(2))
    cache.close()
    assert_same(cache.get(['b', b'a']), features(2), [1, 0])
    assert make(tmp_path).missing(['b']) == [0]


@contextmanager
def small_files(limit):
    """No file of this process may be larger: writing fails at that size."""
    was = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, was[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, was)


@pytest.mark.parametrize('trouble', ['a limit of the size of files', 'little room', 'an error while writing',
                                     'no folder'])
def test_the_run_continues_if_nothing_can_be_written(tmp_path, monkeypatch, trouble):
    def fail(*args):
        raise OSError('no space left on device')

    cache = make(tmp_path / 'cache')
    cache.put(['a'], features(1))
    cache.files.flush()
    if trouble == 'a limit of the size of files':
        with small_files(200):
            cache.put(['b', 'c', 'd', 'e'], features(4))
            cache.files.flush()
    elif trouble == 'little room':
        monkeypatch.setattr(files, 'RESERVE', 2**60)
        cache.put(['b', 'c', 'd', 'e'], features(4))
    elif trouble == 'an error while writing':
        monkeypatch.setattr(files.os, 'pwrite', fail)
        cache.put(['b', 'c', 'd', 'e'], features(4))
    else:
        cache = make(tmp_path / 'file' / 'cache')
        (tmp_path / 'file').write_text('')
        cache.put(['b', 'c', 'd', 'e'], features(4))
    cache.files.flush()
    assert cache.get(['b']) is None
    cache.put(['f'], features(1))  # no second try
    assert cache.full and cache.get(['f']) is None
    if trouble != 'no folder':
        assert_same(cache.get(['a']), features(1), [0])
        cache.close()
        assert [line['keys'] for line in journal(tmp_path / 'cache')] == [['a']]


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
    cache.close()
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
