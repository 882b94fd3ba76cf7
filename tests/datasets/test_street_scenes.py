import hashlib
import json
import time

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skd_mm.datasets import CamVidDataset, street_scenes
from skd_mm.datasets.street_scenes import MARKER, make_street_scenes, street_scene

SMALL = dict(train=3, val=1, test=2, size=(32, 48))


def contents(root):
    return {
        path.relative_to(root).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
        for path in root.rglob('*') if path.is_file()
    }


def test_layout_is_camvids(tmp_path):
    root = make_street_scenes(tmp_path / 'a' / 'scenes', **SMALL)
    assert root == tmp_path / 'a' / 'scenes' and list(root.parent.iterdir()) == [root]
    for split, count in (('train', 3), ('val', 1), ('test', 2)):
        dataset = CamVidDataset(data_root=str(root), data_prefix=dict(img_path=split, seg_map_path=split + 'annot'))
        assert len(dataset) == count
    image, label = (cv2.imread(str(root / folder / 'scene_0000.png'), -1) for folder in ('train', 'trainannot'))
    drawn = street_scene((32, 48), (0, 0, 0))
    np.testing.assert_array_equal(image[..., ::-1], drawn[0])
    np.testing.assert_array_equal(label, drawn[1])


def test_same_seed_same_bytes_other_seed_other_pictures(tmp_path):
    one, two, three = (make_street_scenes(tmp_path / str(i), **SMALL, seed=seed) for i, seed in enumerate((0, 0, 1)))
    assert contents(one) == contents(two)
    pictures = [name for name in contents(one) if 'scene_' in name and 'annot' not in name]
    assert all(contents(one)[name] != contents(three)[name] for name in pictures)
    assert len({contents(one)[name] for name in pictures}) == len(pictures)


def test_larger_set_contains_the_smaller(tmp_path):
    small = make_street_scenes(tmp_path / 'a', **SMALL)
    large = make_street_scenes(tmp_path / 'b', **SMALL | dict(train=5))
    few, many = contents(small), contents(large)
    del few[MARKER]
    assert few.items() <= many.items()


def test_whole_set_is_kept(tmp_path, monkeypatch):
    root = make_street_scenes(tmp_path / 'a', **SMALL)
    monkeypatch.setattr(street_scenes, 'street_scene', None)
    make_street_scenes(root, **SMALL)
    with pytest.raises(TypeError):
        make_street_scenes(root, **SMALL, seed=1)


@pytest.mark.parametrize('harm', ['marker', 'image', 'label', 'folder', 'other arguments'])
def test_anything_less_is_made_anew(tmp_path, harm):
    root = make_street_scenes(tmp_path / 'a', **SMALL)
    before = contents(root)
    if harm == 'marker':
        (root / MARKER).unlink()
    elif harm == 'image':
        (root / 'train' / 'scene_0001.png').unlink()
    elif harm == 'label':
        (root / 'testannot' / 'scene_0001.png').unlink()
    elif harm == 'folder':
        for path in (root / 'val').iterdir():
            path.unlink()
        (root / 'val').rmdir()
    else:
        (root / MARKER).write_text(json.dumps(json.loads((root / MARKER).read_text()) | {'seed': 7}))
    make_street_scenes(root, **SMALL)
    assert contents(root) == before


def test_killed_half_way_leaves_nothing(tmp_path, monkeypatch):
    drawn = []

    def stop_at_the_third(*args):
        drawn.append(args)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return street_scene(*args)

    monkeypatch.setattr(street_scenes, 'street_scene', stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        make_street_scenes(tmp_path / 'a', **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_somebodys_camvid_is_left_alone(tmp_path):
    (tmp_path / 'train').mkdir()
    (tmp_path / 'train' / '0001TP_006690.png').write_bytes(b'precious')
    with pytest.raises(FileExistsError, match=r'something else than street scenes .*0001TP_006690'):
        make_street_scenes(tmp_path, **SMALL)
    assert (tmp_path / 'train' / '0001TP_006690.png').read_bytes() == b'precious'


@pytest.mark.parametrize('change, message', [(dict(train=-1), 'train must not be negative, but is -1'),
                                             (dict(size=(16, 64)), r'at least 32 on each side, but is \(16, 64\)')])
def test_bad_arguments(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        make_street_scenes(tmp_path / 'a', **SMALL | change)
    assert not (tmp_path / 'a').exists()


def test_every_class_is_there():
    counts = np.zeros(12, int)
    for i in range(40):
        counts += np.bincount(street_scene((64, 96), i)[1].ravel(), minlength=12)
    shares = counts / counts.sum()
    assert shares[:11].min() > 0.002 and shares.max() < 0.5 and 0 < shares[11] < 0.05


def test_quick_enough():
    start = time.process_time()
    for i in range(10):
        street_scene((96, 128), i)
    # 0.05 s each allows 300 in 15 s; three times that for a slow machine
    assert time.process_time() - start < 10 * 0.05 * 3


def mean_iou(predicted, label):
    known = label < 11
    table = np.bincount(label[known].astype(int) * 11 + predicted[known], minlength=121).reshape(11, 11)
    return float(np.mean(np.diag(table) / np.maximum(table.sum(0) + table.sum(1) - np.diag(table), 1)))


def nearest_neighbours(train, test):
    """A pixel by its colour and place alone: the commonest class of the 15 pixels that are most like it."""

    def pixels(scenes):
        h, w = scenes[0][1].shape
        y, x = np.mgrid[:h, :w]
        return np.concatenate([np.dstack([image / 255, y / h, x / w]).reshape(-1, 5) for image, _ in scenes])

    features, labels = pixels(train), np.concatenate([label.ravel() for _, label in train])
    some = np.random.default_rng(0).choice(np.flatnonzero(labels < 11), 30000, replace=False)
    known, classes = torch.tensor(features[some]).float(), torch.tensor(labels[some]).long()
    asked = np.random.default_rng(1).choice(test[0][1].size * len(test), 10000, replace=False)
    found = [
        classes[torch.cdist(part, known).topk(15, largest=False).indices].mode(1).values
        for part in torch.tensor(pixels(test)[asked]).float().split(500)
    ]
    return mean_iou(torch.cat(found).numpy(), np.concatenate([label.ravel() for _, label in test])[asked])


def small_network(train, test):
    """A U-Net of nine convolutions, trained for ten epochs."""

    def block(i, o, stride=1, dilation=1):
        return nn.Sequential(
            nn.Conv2d(i, o, 3, stride, dilation, dilation, bias=False), nn.BatchNorm2d(o), nn.ReLU())

    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.a, self.b = block(3, 16, 2), nn.Sequential(block(16, 32, 2), block(32, 32))
            self.c = nn.Sequential(block(32, 64, 2), block(64, 64, 1, 2), block(64, 64, 1, 4))
            self.d, self.e, self.f = block(96, 32), block(48, 32), nn.Conv2d(32, 11, 1)

        def forward(self, x):
            a = self.a(x)
            b = self.b(a)
            y = self.d(torch.cat([F.interpolate(self.c(b), scale_factor=2), b], 1))
            y = self.e(torch.cat([F.interpolate(y, scale_factor=2), a], 1))
            return F.interpolate(self.f(y), scale_factor=2, mode='bilinear')

    def images(scenes):
        return (torch.tensor(np.stack([image for image, _ in scenes])).permute(0, 3, 1, 2).float() / 255 - 0.45) / 0.25

    torch.manual_seed(0)
    net, x = Net(), images(train)
    y = torch.tensor(np.stack([label for _, label in train])).long()
    optimizer = torch.optim.Adam(net.parameters())
    batches = len(x) // 8
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=10 * batches)
    for _ in range(10):
        for batch in torch.randperm(len(x))[:batches * 8].split(8):
            optimizer.zero_grad()
            F.cross_entropy(net(x[batch]), y[batch], ignore_index=11).backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        predicted = net.eval()(images(test)).argmax(1)
    return mean_iou(predicted.numpy().ravel(), np.concatenate([label.ravel() for _, label in test]))


@pytest.mark.slow
def test_colour_and_place_do_not_give_the_classes_away():
    train = [street_scene((96, 128), (0, 0, i)) for i in range(120)]
    test = [street_scene((96, 128), (0, 2, i)) for i in range(40)]
    by_pixel, by_network = nearest_neighbours(train, test), small_network(train, test)
    assert by_pixel < 0.25 and by_network > by_pixel + 0.05, (by_pixel, by_network)
