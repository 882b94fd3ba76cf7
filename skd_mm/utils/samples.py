"""Keys in the meta information of data samples, and the data sets that samples are from."""

from typing import Any

# Key of a training sample's index in the data set; OpenMMLab's `sample_idx` also counts those of validation sets.
INDEX = 'skd_mm_index'
# Key of a validation sample's index: file names and `sample_idx` are not unique across data sets.
VALIDATION_INDEX = 'skd_mm_validation_index'
# Key of the number of an image's augmented view, if it has several.
VIEW = 'skd_mm_view'
# Key of the mark of training samples that have no labels, whatever a data preprocessor finds in them.
UNLABELLED = 'skd_mm_unlabelled'


# Wrappers that return the samples of a data set under other indices, unchanged.
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
