import numpy as np
import pytest

sklearn = pytest.importorskip('sklearn')

from skd_mm.datasets import SklearnTable  # noqa: E402


def test_rows_are_images_of_one_pixel():
    train, test = SklearnTable('wine'), SklearnTable('wine', 'test')
    assert (len(train), len(test)) == (135, 43)
    rows = np.stack([train.get_data_info(i)['img'] for i in range(135)])
    assert rows.shape == (135, 1, 1, 13) and rows.dtype == np.float32
    np.testing.assert_allclose(rows.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(rows.std(0), 1, atol=1e-4)
    assert len(train.metainfo['classes']) == 3


def test_the_splits_share_no_row_and_every_class_is_in_both():
    def rows(split, seed=0):
        table = SklearnTable('wine', split, seed=seed)
        found = [table.get_data_info(i) for i in range(len(table))]
        raw = table.table.data
        return found, {info['gt_label'] for info in found}, raw

    (train, classes, raw), (test, others, _) = rows('train'), rows('test')
    assert classes == others == {0, 1, 2} and len(train) + len(test) == len(raw)
    values = {info['img'].tobytes() for info in train}
    assert len(values & {info['img'].tobytes() for info in test}) == 0
    assert [info['gt_label'] for info in rows('test', seed=1)[0]] == [info['gt_label'] for info in test]
    assert any(not np.array_equal(one['img'], other['img'])
               for one, other in zip(rows('test', seed=1)[0], test, strict=True))


@pytest.mark.parametrize(('arguments', 'words'), [
    (dict(table='vine'), "not 'vine'; did you mean 'wine'"), (dict(table='wine', split='val'), "not 'val'")])
def test_unknown_names_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        SklearnTable(**arguments)
