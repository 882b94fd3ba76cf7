"""What data samples tell: see also the cache's tests in test_distiller.py."""

from mmseg.structures import SegDataSample

from skd_mm.distillers.samples import sample_keys, training_keys
from skd_mm.utils import INDEX, VIEW


def test_the_keys_of_a_batch_are_known_before_it_is_loaded():
    for samples in ([(3, ), (0, )], [(3, 1), (0, 1)]):
        data_samples = [SegDataSample(metainfo=dict(zip((INDEX, VIEW), sample, strict=False))) for sample in samples]
        assert training_keys(samples, (3, 8, 9)) == sample_keys(data_samples, (3, 8, 9))
