"""What data samples carry: keys of their meta information, and the data sets that they are from."""

from typing import Any

# Key of a training sample's index in the data set; OpenMMLab's `sample_idx` also counts those of validation sets.
INDEX = 'skd_mm_index'
# And a validation sample in its own: files have one name in several data sets, and `sample_idx` begins anew in each.
VALIDATION_INDEX = 'skd_mm_validation_index'
# Which of an image's augmented views it is, where there is a bank of them.
VIEW = 'skd_mm_view'


# Wrappers that give samples of one data set under other indices; none of them changes a sample.
_INDEX_WRAPPERS = ('RepeatDataset', 'ClassBalancedDataset', 'KFoldDataset')


def plain_datasets(dataset: Any) -> list[Any]:
    """Return the data sets inside wrappers that concatenate, repeat or select samples.

    Args:
        dataset: Any data set.

    Returns:
        The innermost data sets, in order; ``[dataset]`` if it is no such wrapper.
    """
    inner = getattr(dataset, 'datasets', None)
    if inner is None and type(dataset).__name__ in _INDEX_WRAPPERS:
        inner = [dataset.dataset]
    if inner is None:
        return [dataset]
    plain = []
    for part in inner:
        plain += plain_datasets(part)
    return plain
