"""A data set that cannot be built: the part at fault is named, with what it was given."""

import pytest

from skd_mm.datasets.building import build_dataset
from tests.helpers import SIDE

TOY = dict(type='mmengine.ToySegDataset', images=3, side=SIDE, pipeline=[dict(type='mmseg.PackSegInputs')])
PATH = 'val_dataloader.dataset'


def test_what_can_be_built_is_built_and_has_its_samples():
    cfg = dict(TOY, lazy_init=True)
    dataset = build_dataset(cfg, PATH)
    assert dataset._fully_initialized and len(dataset) == 3 and cfg['type'] == 'mmengine.ToySegDataset'


@pytest.mark.parametrize(('cfg', 'message'), [
    (dict(TOY, images=[]), rf'{PATH} \(mmengine.ToySegDataset\(images=\[\], .*\)\) cannot be built: TypeError: '),
    (dict(TOY, pipeline=[dict(type='mmcv.RandomFlip', prob=1e30)]),
     rf'{PATH}\.pipeline\[0\] \(mmcv.RandomFlip\(prob=1e\+30\)\) cannot be built: AssertionError'),
    (dict(type='mmengine.RepeatDataset', times=2, dataset=dict(TOY, first='x')),
     rf"{PATH}\.dataset \(mmengine.ToySegDataset\(images=3, .*first='x'\)\) cannot be built: TypeError"),
    (dict(type='mmengine.ConcatDataset', datasets=[TOY, dict(TOY, side='x')]), rf"{PATH}\.datasets\[1\] .*side='x'")])
def test_what_cannot_is_named(cfg, message):
    with pytest.raises(ValueError, match=message):
        build_dataset(cfg, PATH)


def test_a_file_that_is_not_there_stays_such_an_error():
    with pytest.raises(FileNotFoundError, match=rf'{PATH}: .*nowhere'):
        build_dataset(dict(type='mmseg.BaseSegDataset', data_prefix=dict(img_path='nowhere'), pipeline=[]), PATH)
