import cv2
import numpy as np
import pytest

from skd_mm.datasets.label_files import LabelFormatError, check_image, check_label, read_label


@pytest.fixture
def label(tmp_path):
    path = tmp_path / 'label.png'
    cv2.imwrite(str(path), np.arange(12, dtype=np.uint8).reshape(3, 4))
    return path


def test_a_label_is_read_as_it_is(label):
    assert read_label(str(label)).tolist() == np.arange(12).reshape(3, 4).tolist()


def test_ids_above_the_maximum_are_reported(label):
    assert check_label(str(label), 11) == (3, 4)
    with pytest.raises(ValueError, match=r'label\.png: labels outside the classes: 4, 5, 6, 7, 8, …\. The ids are 0-3'):
        check_label(str(label), 3)


def test_a_colour_image_is_not_a_label(label):
    cv2.imwrite(str(label), np.zeros((3, 4, 3), np.uint8))
    with pytest.raises(LabelFormatError, match='one channel'):
        read_label(str(label))


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_a_truncated_image_is_reported(tmp_path, suffix):
    path = tmp_path / f'image{suffix}'
    cv2.imwrite(str(path), np.zeros((30, 40, 3), np.uint8))
    assert check_image(str(path)) == (40, 30)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ValueError, match='truncated'):
        check_image(str(path))


def test_another_file_is_not_an_image(tmp_path):
    (tmp_path / 'image.png').write_bytes(b'text IEND')
    with pytest.raises(ValueError, match='not an image'):
        check_image(str(tmp_path / 'image.png'))
