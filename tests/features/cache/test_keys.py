import random
import tracemalloc

import pytest

from skd_mm.features.cache.keys import KeyIndex


def test_every_key_has_its_number():
    keys = [*range(0, 300, 7), -1, 2**40, True, 1.5, 'a', None, (1, ), (), (1, 2), (3, 2), (1, 2, 'b'),
            ('a', 2, None, 3), ('a', 2, 0, 3), ('a', -2), ('a', 'b'), ('a', True), ('a', 2**40), ('a', 2), (('a', ), 2)]
    keys = list(dict.fromkeys(keys))
    random.Random(0).shuffle(keys)
    index = KeyIndex()
    for number, key in enumerate(keys):
        assert index.get(key) == -1
        index.set(key, number)
    assert [index.get(key) for key in keys] == list(range(len(keys)))
    for number, key in enumerate(keys):
        index.set(key, number + 1000)
    assert [index.get(key) for key in keys] == [number + 1000 for number in range(len(keys))]
    for key in (1, 301, 10**6, ('a', 3, None, 3), ('b', 2, None, 3), 'b', ('a', 2, None)):
        assert index.get(key) == -1


@pytest.mark.parametrize('count', [10**5])
def test_a_sample_takes_four_bytes(count):
    tracemalloc.start()
    index = KeyIndex()
    for i in range(count):
        index.set(('skd_mm_index', i, None, 3, 224, 224), i)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used < 6.5 * count and index.get(('skd_mm_index', 5, None, 3, 224, 224)) == 5
