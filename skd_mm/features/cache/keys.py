"""Where the samples of a cache are, by key."""

from collections.abc import Hashable

import numpy as np

# Numbers from here on are keys of a dict, as an array up to them would be mostly empty.
_LARGEST = 2**28


class KeyIndex:
    """Maps keys to numbers, in four bytes per key.

    The keys of a data set differ in one number, the index of the sample: ``('skd_mm_index', 17, None, 3, 224, 224)``.
    An array over that number takes a hundredth of the memory of a dict. Other keys are kept in a dict.
    """

    def __init__(self) -> None:
        self._arrays: dict[Hashable, np.ndarray] = {}
        self._others: dict[Hashable, int] = {}

    def get(self, key: Hashable) -> int:
        """Return the number of a key.

        Args:
            key: The key.

        Returns:
            The number; -1 if there is none.
        """
        family, number = _split(key)
        if number < 0:
            return self._others.get(key, -1)
        array = self._arrays.get(family)
        return int(array[number]) if array is not None and number < len(array) else -1

    def set(self, key: Hashable, value: int) -> None:
        """Set the number of a key.

        Args:
            key: The key.
            value: In ``[0, 2**31)``.
        """
        family, number = _split(key)
        if number < 0:
            self._others[key] = value
            return
        array = self._arrays.get(family)
        if array is None or number >= len(array):
            size = max(number + 1, 64 if array is None else len(array) * 3 // 2)
            grown = np.full(size, -1, dtype=np.int32)
            if array is not None:
                grown[:len(array)] = array
            self._arrays[family] = array = grown
        array[number] = value


def _split(key: Hashable) -> tuple[Hashable, int]:
    """Split a key into the part that it shares with other samples and the number of the sample, -1 if it has none."""
    if type(key) is int and 0 <= key < _LARGEST:
        return None, key
    if isinstance(key, tuple) and len(key) > 1 and type(key[1]) is int and 0 <= key[1] < _LARGEST:
        return (key[0], *key[2:]), key[1]
    return None, -1
