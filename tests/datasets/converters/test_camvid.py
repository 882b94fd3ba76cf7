import hashlib
import os

import cv2
import numpy as np
import pytest

from skd_mm.datasets import CamVidDataset
from skd_mm.datasets.camvid import CLASSES
from skd_mm.datasets.converters.camvid import COLOURS, IDS, convert_camvid, read_coloured_label

LOAD = [dict(type='mmseg.LoadImageFromFile'), dict(type='mmseg.LoadAnnotations')]
NAMES = {'train': ['0001TP_1', '0001TP_2'], 'val': ['0016E5_3'], 'test': ['Seq05VD_4']}
SHARES = [15.8, 24.1, 1.0, 29.3, 6.7, 11.2, 1.1, 1.4, 4.6, 0.6, 0.5, 3.6]
ALL = [(name, colour) for members in COLOURS.values() for name, colour in members.items()]
ALL = [ALL[7 * i % 32] for i in range(32)]  # so that neighbours have little in common


@pytest.fixture
def release(tmp_path):
    """The original release with one pixel column for each of the 32 classes, and lists of its split."""
    rng = np.random.default_rng(0)
    for folder in ('701_StillsRaw_full', 'LabeledApproved_full', 'splits'):
        (tmp_path / 'src' / folder).mkdir(parents=True)
    label = np.repeat(np.array([[colour for _, colour in ALL]], np.uint8), 24, axis=0)  # (24, 32, 3) in RGB
    for split, names in NAMES.items():
        lines = []
        for name in names:
            image = rng.integers(0, 255, label.shape, dtype=np.uint8)
            cv2.imwrite(str(tmp_path / 'src' / '701_StillsRaw_full' / f'{name}.png'), image)
            cv2.imwrite(str(tmp_path / 'src' / 'LabeledApproved_full' / f'{name}_L.png'), label[..., ::-1])
            lines.append(f'/SegNet/CamVid/{split}/{name}.png /SegNet/CamVid/{split}annot/{name}.png')
        (tmp_path / 'src' / 'splits' / f'{split}.txt').write_text('\n'.join(lines))
    return tmp_path / 'src'


def everything(out):
    return sorted(path.relative_to(out).as_posix() for path in out.rglob('*') if path.is_file())


def test_all_32_classes_are_there_once():
    assert len(ALL) == len({colour for _, colour in ALL}) == len({name for name, _ in ALL}) == 32
    assert tuple(COLOURS) == (*CLASSES, 'unlabelled')
    # compared with the published table when it was typed; a slip in one number would hardly be seen
    assert hashlib.md5(repr(sorted(IDS.items())).encode()).hexdigest() == '5517660c243c669dad21ba8eb8bac170'


def test_original(release, tmp_path):
    frames, pixels = convert_camvid(release, tmp_path / 'out', release / 'splits')
    assert frames == {'train': 2, 'val': 1, 'test': 1} and pixels.sum() == 4 * 24 * 32
    ids = {name: i for i, members in enumerate(COLOURS.values()) for name in members}
    expected = [ids[name] for name, _ in ALL]
    for split, names in NAMES.items():
        dataset = CamVidDataset(
            data_root=str(tmp_path / 'out'),
            data_prefix=dict(img_path=split, seg_map_path=f'{split}annot'),
            ann_file=f'{split}.txt',
            pipeline=LOAD)
        assert [os.path.basename(dataset[i]['img_path']) for i in range(len(dataset))] == [f'{n}.png' for n in names]
        label = cv2.imread(str(tmp_path / 'out' / f'{split}annot' / f'{names[0]}.png'), -1)
        np.testing.assert_array_equal(label, np.tile(expected, (24, 1)))
        original = cv2.imread(str(release / '701_StillsRaw_full' / f'{names[0]}.png'))
        np.testing.assert_array_equal(dataset[0]['img'], original)


def test_known_colours_by_hand(tmp_path):
    colours = [[(128, 128, 128), (64, 0, 128)], [(192, 0, 64), (0, 0, 0)]]
    cv2.imwrite(str(tmp_path / 'a_L.png'), np.array(colours, np.uint8)[..., ::-1])
    assert read_coloured_label(tmp_path / 'a_L.png').tolist() == [[0, 8], [3, 11]]


def test_resized(release, tmp_path):
    convert_camvid(release, tmp_path / 'out', release / 'splits', size=(16, 12))
    image = cv2.imread(str(tmp_path / 'out' / 'val' / '0016E5_3.png'))
    label = cv2.imread(str(tmp_path / 'out' / 'valannot' / '0016E5_3.png'), -1)
    assert image.shape == (12, 16, 3) and label.shape == (12, 16)
    source = cv2.imread(str(release / '701_StillsRaw_full' / '0016E5_3.png')).astype(float)
    np.testing.assert_allclose(image, source.reshape(12, 2, 16, 2, 3).mean((1, 3)), atol=0.51)
    whole = read_coloured_label(release / 'LabeledApproved_full' / '0016E5_3_L.png')
    assert all(label[0, i] in whole[0, 2 * i:2 * i + 2] for i in range(16))


def test_unknown_colour(release, tmp_path):
    path = release / 'LabeledApproved_full' / '0001TP_2_L.png'
    label = cv2.imread(str(path))
    label[3:5, 7] = 30, 20, 10
    cv2.imwrite(str(path), label)
    with pytest.raises(ValueError, match=r'0001TP_2_L\.png: .*\(10, 20, 30\) on 2 pixels'):
        convert_camvid(release, tmp_path / 'out', release / 'splits')
    assert [path.name for path in tmp_path.iterdir()] == ['src']


@pytest.mark.parametrize('damage, message', [
    ('label missing', r"no label of '0016E5_3', which val\.txt names"),
    ('image missing', r"no image of '0016E5_3', which val\.txt names"),
    ('name misspelt', r"no label of '0016E5_33', which val\.txt names; did you mean '0016E5_3'"),
    ('named twice', r"'0016E5_3' is in val\.txt and in test\.txt"),
    ('list missing', r'test\.txt is missing'),
    ('list empty', r'test\.txt is empty'),
    ('image cut short', r'0016E5_3\.png: not a whole image'),
    ('another size', r'0016E5_3_L\.png: the label is 32x24 pixels, its image 8x8'),
    ('no labels at all', r'no colour-coded labels NAME_L\.png'),
])
def test_broken_original(release, tmp_path, damage, message):
    image = release / '701_StillsRaw_full' / '0016E5_3.png'
    label = release / 'LabeledApproved_full' / '0016E5_3_L.png'
    if damage == 'label missing':
        label.unlink()
    elif damage == 'image missing':
        image.unlink()
    elif damage == 'name misspelt':
        (release / 'splits' / 'val.txt').write_text('0016E5_33\n')
    elif damage == 'named twice':
        (release / 'splits' / 'test.txt').write_text('Seq05VD_4\n0016E5_3.png\n')
    elif damage == 'list missing':
        (release / 'splits' / 'test.txt').unlink()
    elif damage == 'list empty':
        (release / 'splits' / 'test.txt').write_text('\n')
    elif damage == 'image cut short':
        image.write_bytes(image.read_bytes()[:100])
    elif damage == 'another size':
        cv2.imwrite(str(image), np.zeros((8, 8, 3), np.uint8))
    else:
        for path in (release / 'LabeledApproved_full').iterdir():
            path.unlink()
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        convert_camvid(release, tmp_path / 'out', release / 'splits')
    assert [path.name for path in tmp_path.iterdir()] == ['src']


def test_several_processes_give_the_same(release, tmp_path):
    convert_camvid(release, tmp_path / 'one', release / 'splits')
    convert_camvid(release, tmp_path / 'two', release / 'splits', nproc=2)
    assert everything(tmp_path / 'one') == everything(tmp_path / 'two')
    for name in everything(tmp_path / 'one'):
        assert (tmp_path / 'one' / name).read_bytes() == (tmp_path / 'two' / name).read_bytes()


@pytest.mark.parametrize('link', [False, True])
def test_segnet(release, tmp_path, link):
    convert_camvid(release, tmp_path / 'segnet', release / 'splits')
    convert_camvid(tmp_path / 'segnet', tmp_path / 'out', link=link)
    assert everything(tmp_path / 'out') == everything(tmp_path / 'segnet')
    assert (tmp_path / 'out' / 'train.txt').read_text() == '0001TP_1\n0001TP_2\n'
    for name in everything(tmp_path / 'out'):
        assert (tmp_path / 'out' / name).read_bytes() == (tmp_path / 'segnet' / name).read_bytes()
        assert (tmp_path / 'out' / name).is_symlink() == (link and '/' in name)


def test_segnet_with_a_wrong_label(release, tmp_path):
    convert_camvid(release, tmp_path / 'segnet', release / 'splits')
    cv2.imwrite(str(tmp_path / 'segnet' / 'testannot' / 'Seq05VD_4.png'), np.full((24, 32), 12, np.uint8))
    with pytest.raises(ValueError, match=r'Seq05VD_4\.png: labels outside the classes: 12'):
        convert_camvid(tmp_path / 'segnet', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_existing_files_are_left_alone(release, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'mine').touch()
    with pytest.raises(FileExistsError, match='out already exists'):
        convert_camvid(release, tmp_path / 'out', release / 'splits')


def test_real_camvid(real_data, tmp_path):
    frames, pixels = convert_camvid(real_data / 'camvid', tmp_path / 'out', link=True)
    assert frames == {'train': 367, 'val': 101, 'test': 233}
    np.testing.assert_allclose(100 * pixels / pixels.sum(), SHARES, atol=0.051)
