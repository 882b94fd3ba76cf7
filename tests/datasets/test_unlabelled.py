import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope

from skd_mm.datasets import UnlabelledDataset
from skd_mm.datasets.building import build_dataset
from skd_mm.datasets.partly_labelled import PartlyLabelled, unlabelled_config, without_labels
from skd_mm.tasks import Classification, Segmentation, label_of
from skd_mm.utils import UNLABELLED
from tests.helpers import PIPELINE, ToyClsDataset, ToySegDataset

FILES = ('b.png', 'a.JPG', 'deep/er/c.jpeg', 'deep/d.png')


@pytest.fixture
def folder(tmp_path):
    for i, name in enumerate(FILES):
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((8 + 2 * i, 10, 3), 20 * i, np.uint8))
    (tmp_path / 'images/notes.txt').write_text('no image')
    return tmp_path / 'images'


def names(root, **kwargs):
    dataset = UnlabelledDataset(str(root), **kwargs)
    dataset.full_init()
    return [dataset.get_data_info(i)['img_path'].removeprefix(f'{root}/') for i in range(len(dataset))]


def test_the_images_of_a_folder_in_order(folder):
    assert names(folder) == ['a.JPG', 'b.png', 'deep/d.png', 'deep/er/c.jpeg']
    assert names(folder, recursive=False) == ['a.JPG', 'b.png']
    assert names(folder, pattern='*.png') == ['b.png', 'deep/d.png']
    assert names(folder, pattern=['deep/*', 'b.*']) == ['b.png', 'deep/d.png', 'deep/er/c.jpeg']
    assert names(folder, suffixes=['.jpeg']) == ['deep/er/c.jpeg']


def test_a_list_selects_images(folder, tmp_path):
    (tmp_path / 'list.txt').write_text('# chosen\n./deep/d.png\n\nb.png\n')
    assert names(folder, list_file=str(tmp_path / 'list.txt')) == ['b.png', 'deep/d.png']


def test_what_cannot_be_read_is_named(folder, tmp_path):
    (tmp_path / 'wrong.txt').write_text('b.png\ndeep/e.png\n')
    (tmp_path / 'binary.txt').write_bytes(b'\xff\xfe\x00')
    (tmp_path / 'empty.txt').write_text('# nothing\n')
    (tmp_path / 'nothing').mkdir()
    for kwargs, error, words in (
            (dict(data_root=str(folder / 'deeep')), FileNotFoundError, 'there is no folder .*deeep'),
            (dict(data_root=str(tmp_path / 'nothing')), FileNotFoundError, 'has no images .* it has no file'),
            (dict(suffixes=['.gif']), FileNotFoundError, r"has no images .*'\.gif'.*; it has 2 with \.png, "),
            (dict(suffixes=['.jpeg'], recursive=False), FileNotFoundError, 'recursive=False skips nested folders'),
            (dict(pattern='x*'), FileNotFoundError, r"none of the 4 images .* matches pattern=\['x\*'\]; .*'a.JPG'"),
            (dict(list_file=str(tmp_path / 'lost.txt')), FileNotFoundError, 'list_file: there is no file .*lost.txt'),
            (dict(list_file=str(tmp_path / 'wrong.txt')), FileNotFoundError, "'deep/e.png'.*did you mean 'deep/d.png'"),
            (dict(list_file=str(tmp_path / 'binary.txt')), ValueError, 'no text file'),
            (dict(list_file=str(tmp_path / 'empty.txt')), FileNotFoundError, 'names no image')):
        with pytest.raises(error, match=words):
            UnlabelledDataset(**{'data_root': str(folder), **kwargs})


def test_the_pipeline_is_that_of_the_training_data_without_labels(folder):
    init_default_scope('mmseg')
    train = dict(type='CityscapesDataset', pipeline=[
        dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='Resize', scale=(12, 12)),
        dict(type='RandomCrop', crop_size=(8, 8), cat_max_ratio=0.75), dict(type='RandomFlip', prob=0.5),
        dict(type='PhotoMetricDistortion'), dict(type='PackSegInputs')])
    cfg = dict(type='skd_mm.UnlabelledDataset', data_root=str(folder))
    for labelled in (train, dict(type='RepeatDataset', dataset=train), dict(type='ConcatDataset', datasets=[train])):
        dataset = build_dataset(unlabelled_config(cfg, labelled), 'unlabelled_dataloader.dataset')
        assert [step['type'] for step in unlabelled_config(cfg, labelled)['pipeline']] == [
            'LoadImageFromFile', 'Resize', 'RandomCrop', 'RandomFlip', 'PhotoMetricDistortion', 'PackSegInputs']
        sample = dataset[2]
        assert sample['inputs'].shape == (3, 8, 8) and label_of(sample['data_samples']) is None
    own = dict(cfg, pipeline=[dict(type='LoadImageFromFile')])
    assert unlabelled_config(own, train) == own
    assert without_labels([dict(type='mmseg.LoadAnnotations'), dict(type='Pad')]) == [dict(type='Pad')]


def test_a_pipeline_that_reads_no_files_is_refused_for_a_folder():
    train = dict(type='skd_mm.CIFAR100', pipeline=[dict(type='PackInputs')])
    with pytest.raises(ValueError, match=r"no `pipeline`.* beginning with dict\(type='LoadImageFromFile'\)"):
        unlabelled_config(dict(type='skd_mm.UnlabelledDataset', data_root='x'), train)
    assert unlabelled_config(dict(type='skd_mm.CIFAR100'), train)['pipeline'] == train['pipeline']


def joined(kind, pipeline, task):
    init_default_scope('mmseg')
    parts = [DATASETS.build(dict(type=f'mmengine.{kind.__name__}', images=count, first=first, pipeline=pipeline))
             for count, first in ((3, 0), (4, 100))]
    return PartlyLabelled(*parts, task.remove_labels)


def test_labels_of_unlabelled_data_are_removed():
    dataset = joined(ToySegDataset, PIPELINE, Segmentation())
    assert len(dataset) == 7 and dataset.metainfo['classes'] == ('a', 'b', 'c')
    samples = [dataset[i]['data_samples'] for i in range(7)]
    assert [label_of(sample) is not None for sample in samples] == [True] * 3 + [False] * 4
    assert not any('gt_sem_seg' in sample for sample in samples[3:])
    assert [bool(sample.metainfo.get(UNLABELLED)) for sample in samples] == [False] * 3 + [True] * 4
    assert dataset.get_data_info(4)['img_path'] == 'images/101.png'


def test_mmpretrains_preprocessor_takes_batches_of_both():
    dataset = joined(ToyClsDataset, [dict(type='mmpretrain.PackInputs')], Classification())
    preprocessor = MODELS.build(dict(type='mmpretrain.ClsDataPreprocessor', num_classes=3, to_onehot=True))
    for indices in ([1, 5, 2], [5, 1]):
        data = preprocessor(pseudo_collate([dataset[i] for i in indices]), True)
        labels = [label_of(sample) for sample in data['data_samples']]
        assert [None if label is None else int(label) for label in labels] == [i if i < 3 else None for i in indices]
        assert isinstance(data['inputs'], torch.Tensor)
