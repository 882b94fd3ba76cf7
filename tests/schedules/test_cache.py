import pytest

from skd_mm.schedules import CacheSettings, Stagewise


def test_a_number_is_gib_of_memory():
    assert CacheSettings.of(2) == CacheSettings(memory=2)
    assert CacheSettings.of(dict(memory=1, host=3, disk=20, dir='/fast', dtype='bfloat16', views=4)) == CacheSettings(
        1, 3, 20, '/fast', 'bfloat16', 4)
    assert CacheSettings.of(dict(disk=1)) and CacheSettings.of(dict(host=1)) and CacheSettings.of(0.1)
    assert not CacheSettings.of(0) and not CacheSettings.of(None) and not CacheSettings.of(dict(views=4))


@pytest.mark.parametrize(('value', 'message'), [
    (dict(mem=1), r"schedule\.cache: there is no 'mem'; did you mean 'memory'\?"),
    (dict(memory=-1), '`memory` is a number of GiB, 0 or more, not -1'),
    (dict(disk='20G'), "`disk` is a number of GiB, 0 or more, not '20G'"),
    ('2', "`memory` is a number of GiB, 0 or more, not '2'"),
    (True, '`memory` is a number of GiB'),
    (dict(host=float('nan')), '`host` is a number of GiB, 0 or more, not nan'),
    (dict(memory=1, dtype='bfloat'),
     r"`dtype` must be one of \['float32', 'bfloat16'\], not 'bfloat'; did you mean 'bfloat16'"),
    (dict(memory=1, dtype=None), r"`dtype` must be one of \['float32', 'bfloat16'\], not None"),
    (dict(memory=1, views=0), '`views` must be a positive integer, not 0')])
def test_what_makes_no_sense_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        Stagewise(phase_epochs=1, cache=value)
