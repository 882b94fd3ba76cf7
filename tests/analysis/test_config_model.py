"""The size of a config's images."""

from types import SimpleNamespace

import pytest
from mmengine.config import ConfigDict
from torch import nn

from skd_mm.analysis.config_model import config_shape
from tests.helpers import SIDE, config


def model(**preprocessor):
    network = nn.Sequential(nn.Conv2d(3, 4, 1))
    network.data_preprocessor = SimpleNamespace(**preprocessor)
    return network


def pipeline(*steps):
    return ConfigDict(train_dataloader=dict(dataset=dict(dataset=dict(pipeline=list(steps)))))


@pytest.mark.parametrize('cfg, size', [
    (pipeline(dict(type='Resize', scale=(40, 20)), dict(type='PackSegInputs')), (20, 40)),
    (pipeline(dict(type='RandomResize', scale=(400, 200)), dict(type='RandomCrop', crop_size=(16, 32))), (16, 32)),
    (pipeline(dict(type='RandomResizedCrop', scale=24)), (24, 24)),
    (pipeline(dict(type='RandomCrop', crop_size=32, padding=4)), (32, 32))])
def test_the_size_is_that_of_the_training_images(cfg, size):
    assert config_shape(cfg, model()) == (3, *size)


def test_padding_belongs_to_the_size():
    assert config_shape(pipeline(dict(type='Resize', scale=(40, 20))), model(size_divisor=16)) == (3, 32, 48)

def test_without_a_size_in_the_pipeline_it_is_the_distillers_input_shape():
    with pytest.raises(ValueError, match='the size of the training images is unknown'):
        config_shape(pipeline(), model())
    assert config_shape(ConfigDict(model=dict(input_shape=(13, 1, 1))), model()) == (13, 1, 1)


def test_without_any_size_it_is_that_of_the_first_training_image(tmp_path):
    cfg = config(tmp_path)
    assert config_shape(cfg, model()) == (3, SIDE, SIDE)
    cfg.train_dataloader.dataset.type = 'nothing'
    with pytest.raises(ValueError, match='there is no training image to read'):
        config_shape(cfg, model())
