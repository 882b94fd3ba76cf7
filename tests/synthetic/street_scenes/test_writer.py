import hashlib
import json

import cv2
import numpy as np
import pytest

from skd_mm.datasets import CamVidDataset
from skd_mm.synthetic import make_street_scenes, street_scene
from skd_mm.synthetic.street_scenes import writer
from skd_mm.synthetic.street_scenes.boxes import object_boxes
from skd_mm.synthetic.street_scenes.scene import street_scene_with_objects
from skd_mm.synthetic.street_scenes.writer import MARKER

SMALL = dict(train=3, val=1, test=2, size=(32, 48))


def contents(root):
    return {
        path.relative_to(root).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
        for path in root.rglob('*') if path.is_file()
    }


def test_layout_of_camvid(tmp_path):
    root = make_street_scenes(tmp_path / 'a' / 'scenes', **SMALL)
    assert root == tmp_path / 'a' / 'scenes' and list(root.parent.iterdir()) == [root]
    for split, count in (('train', 3), ('val', 1), ('test', 2)):
        dataset = CamVidDataset(data_root=str(root), data_prefix=dict(img_path=split, seg_map_path=split + 'annot'))
        assert len(dataset) == count
    image, label = (cv2.imread(str(root / folder / 'scene_0000.png'), -1) for folder in ('train', 'trainannot'))
    drawn = street_scene((32, 48), (0, 0, 0))
    np.testing.assert_array_equal(image[..., ::-1], drawn[0])
    np.testing.assert_array_equal(label, drawn[1])


def test_the_seed_determines_the_bytes(tmp_path):
    one, two, three = (make_street_scenes(tmp_path / str(i), **SMALL, seed=seed) for i, seed in enumerate((0, 0, 1)))
    assert contents(one) == contents(two)
    pictures = [name for name in contents(one) if 'scene_' in name and 'annot' not in name]
    assert all(contents(one)[name] != contents(three)[name] for name in pictures)
    assert len({contents(one)[name] for name in pictures}) == len(pictures)


def test_larger_data_set_contains_the_smaller_one(tmp_path):
    small = make_street_scenes(tmp_path / 'a', **SMALL)
    large = make_street_scenes(tmp_path / 'b', **SMALL | dict(train=5))
    few, many = contents(small), contents(large)
    del few[MARKER]
    assert few.items() <= many.items()


def test_complete_data_set_is_kept(tmp_path, monkeypatch):
    root = make_street_scenes(tmp_path / 'a', **SMALL)
    monkeypatch.setattr(writer, 'street_scene_with_objects', None)
    make_street_scenes(root, **SMALL)
    with pytest.raises(TypeError):
        make_street_scenes(root, **SMALL, seed=1)


@pytest.mark.parametrize('damage', ['marker', 'image', 'label', 'folder', 'other arguments'])
def test_incomplete_data_set_is_replaced(tmp_path, damage):
    root = make_street_scenes(tmp_path / 'a', **SMALL)
    before = contents(root)
    if damage == 'marker':
        (root / MARKER).unlink()
    elif damage == 'image':
        (root / 'train' / 'scene_0001.png').unlink()
    elif damage == 'label':
        (root / 'testannot' / 'scene_0001.png').unlink()
    elif damage == 'folder':
        for path in (root / 'val').iterdir():
            path.unlink()
        (root / 'val').rmdir()
    else:
        (root / MARKER).write_text(json.dumps(json.loads((root / MARKER).read_text()) | {'seed': 7}))
    make_street_scenes(root, **SMALL)
    assert contents(root) == before


def test_interrupted_generation_leaves_nothing(tmp_path, monkeypatch):
    drawn = []

    def interrupt_the_third(*args):
        drawn.append(args)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return street_scene_with_objects(*args)

    monkeypatch.setattr(writer, 'street_scene_with_objects', interrupt_the_third)
    with pytest.raises(KeyboardInterrupt):
        make_street_scenes(tmp_path / 'a', **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_boxes_are_written_for_coco(tmp_path):
    root = make_street_scenes(tmp_path / 'a', **SMALL, boxes=True)
    plain = contents(make_street_scenes(tmp_path / 'b', **SMALL))
    annotations = {split: json.loads((root / 'annotations' / f'{split}.json').read_text())
                   for split in ('train', 'val', 'test')}
    assert {split: len(found['images']) for split, found in annotations.items()} == dict(train=3, val=1, test=2)
    _, label, instances = street_scene_with_objects((32, 48), (0, 0, 2))
    found = [(one['category_id'], *one['bbox'], one['area']) for one in annotations['train']['annotations']
             if one['image_id'] == 2]
    assert found == object_boxes(label, instances) and found
    shared = {name: digest for name, digest in contents(root).items() if name in plain and name != MARKER}
    assert shared == {name: digest for name, digest in plain.items() if name != MARKER}

    def repaired():
        make_street_scenes(root, **SMALL, boxes=True)
        return (root / 'annotations' / 'val.json').read_text()

    before = repaired()
    (root / 'annotations' / 'val.json').unlink()
    assert repaired() == before
    make_street_scenes(root, **SMALL)
    assert not (root / 'annotations').exists()


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / 'train').mkdir()
    (tmp_path / 'train' / '0001TP_006690.png').write_bytes(b'precious')
    with pytest.raises(FileExistsError, match=r'contains other files than street scenes .*0001TP_006690'):
        make_street_scenes(tmp_path, **SMALL)
    assert (tmp_path / 'train' / '0001TP_006690.png').read_bytes() == b'precious'


@pytest.mark.parametrize('change, message', [(dict(train=-1), 'train must not be negative, but is -1'),
                                             (dict(size=(16, 64)), r'at least 32 on each side, but is \(16, 64\)')])
def test_invalid_arguments(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        make_street_scenes(tmp_path / 'a', **SMALL | change)
    assert not (tmp_path / 'a').exists()
