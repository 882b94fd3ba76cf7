import numpy as np
import pytest
from mmengine.registry import DATASETS

from skd_mm.datasets import SyntheticDigits, fraction_indices, synthetic_digits


def digits(num_classes=12, **kwargs):
    return SyntheticDigits(num_classes, **dict(dict(per_class=2), **kwargs))


@pytest.mark.parametrize(('classes', 'names'), [
    (2, ('0', '1')), (10, ('0', '9')), (11, ('00', '10')), (100, ('00', '99')), (101, ('000', '100')),
    (1000, ('000', '999'))])
def test_a_class_is_a_number_with_leading_zeros(classes, names):
    data = digits(classes, per_class=1)
    found = data.metainfo['classes']
    assert (found[0], found[-1], len(found)) == (*names, classes)
    assert data.num_digits == max(1, int(np.ceil(np.log10(classes))))
    assert [data.get_data_info(i)['gt_label'] for i in (0, classes - 1)] == [0, classes - 1]


def test_classes_are_balanced():
    data = digits(per_class=3)
    assert len(data) == 36
    assert np.bincount(data.get_gt_labels()).tolist() == [3] * 12
    assert (SyntheticDigits(2).per_class, SyntheticDigits(2, 'test').per_class) == (500, 100)


def test_an_image_is_a_function_of_seed_split_and_index():
    one, again, longer = digits(), digits(), digits(per_class=3)
    for i in range(len(one)):
        image = one.get_data_info(i)['img']
        assert image.shape == (32, 32) and image.dtype == np.uint8
        for other in (again, longer):
            assert np.array_equal(image, other.get_data_info(i)['img'])
    assert not np.array_equal(one.draw(5), digits(seed=1).draw(5))
    assert not np.array_equal(one.draw(5), digits(split='test').draw(5))


def test_images_of_a_class_differ_and_are_not_empty():
    data = digits(2, per_class=20)
    images = [data.draw(i) for i in range(40)]
    assert len({image.tobytes() for image in images}) == 40
    assert min(image.std() for image in images) > 10


def test_the_shape_shows_the_digit():
    """Class means classify new images far above chance, so an image shows its class."""
    train, test = digits(10, per_class=30), digits(10, per_class=5, split='test')
    means = [np.mean([train.draw(i) for i in range(k, 300, 10)], 0) for k in range(10)]
    means = [(mean - mean.mean()) / mean.std() for mean in means]
    right = [int(np.argmax([(mean * test.draw(i)).mean() for mean in means])) == i % 10 for i in range(50)]
    assert np.mean(right) > 0.5


def test_an_image_shows_the_number_of_its_class(monkeypatch):
    data, drawn = digits(120, per_class=2), []
    monkeypatch.setattr(synthetic_digits, 'draw_number', lambda text, glyphs, rng: drawn.append(text))
    for index, expected in ((7, '007'), (85, '085'), (119, '119'), (127, '007')):
        data.draw(index)
        assert drawn.pop() == expected
        assert data.get_data_info(index)['gt_label'] == int(expected)


def test_it_is_built_and_sampled_as_other_data_sets():
    data = DATASETS.build(dict(type='skd_mm.SyntheticDigits', num_classes=3, per_class=4,
                               pipeline=[dict(type='mmpretrain.PackInputs')]))
    sample = data[4]
    assert sample['inputs'].shape == (1, 32, 32) and sample['data_samples'].gt_label.item() == 1
    assert len(fraction_indices(data, 0.5)) == 6


@pytest.mark.parametrize(('arguments', 'message'), [
    (dict(num_classes=1), 'num_classes.* at least 2, not 1'), (dict(num_classes=2.5), 'not 2.5'),
    (dict(split='tset'), "not 'tset'; did you mean 'test'"), (dict(per_class=0), 'per_class.* not 0')])
def test_invalid_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        digits(**dict(dict(num_classes=2), **arguments))


def idx(array, magic):
    sizes = b''.join(size.to_bytes(4, 'big') for size in array.shape)
    return bytes([0, 0, 8, magic]) + sizes + array.astype(np.uint8).tobytes()


def test_glyphs_of_mnist(tmp_path):
    for split, ink in (('train', 255), ('t10k', 128)):
        images = np.zeros((10, 28, 28))
        for k in range(10):
            images[k, 8:20, 4:6 + 2 * k] = ink
        (tmp_path / f'{split}-images-idx3-ubyte').write_bytes(idx(images, 3))
        (tmp_path / f'{split}-labels-idx1-ubyte').write_bytes(idx(np.arange(10), 1))
    data = digits(10, mnist_root=str(tmp_path), per_class=8)
    ink = [np.mean([data.draw(i) > 110 for i in range(k, 80, 10)]) for k in (0, 9)]
    assert ink[1] > 2 * ink[0]
    assert digits(mnist_root=str(tmp_path), split='test').glyphs[3].max() == 128


def test_a_missing_mnist_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'train-images-idx3-ubyte.*mnist_root'):
        digits(mnist_root=str(tmp_path))
