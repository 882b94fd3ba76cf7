"""What a schedule says about the features that a phase keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from skd_mm.utils import did_you_mean


@dataclass(frozen=True)
class CacheSettings:
    """What ``schedule.cache`` says: a number, which is ``memory``, or a dict with these keys.

    Attributes:
        memory: GiB that each process may keep in memory, on the device that trains. Defaults to 0.
        disk: GiB that each process may keep on disk, of what is beyond ``memory``. Defaults to 0.
        dir: The folder for it; each run has a folder of its own there. Defaults to the work directory.
        dtype: ``'float32'`` (the default) keeps features as they are. ``'bfloat16'`` keeps those of 32 bits in half the
            room and rounds them: training is no longer that without a cache to the bit.
        views: None (the default) needs images that are the same each time they are read. A number lets the training
            pipeline be random: each image then has that many augmented views, which take turns by epoch.
        images: GiB of the host's memory that each process may use to keep the images themselves, of training and
            validation, so that their files are read once a run. Where they need more they are read in every epoch.
            Defaults to 1.

    Raises:
        ValueError: A key or a value makes no sense.
    """

    memory: float = 0.0
    disk: float = 0.0
    dir: str | None = None
    dtype: str = 'float32'
    views: int | None = None
    images: float = 1.0

    def __post_init__(self) -> None:
        """Checks the values."""
        for key in ('memory', 'disk', 'images'):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float('inf'):
                raise ValueError(f'schedule.cache: `{key}` is a number of GiB, 0 or more, not {value!r}')
        if self.dtype not in ('float32', 'bfloat16'):
            raise ValueError(f"schedule.cache: `dtype` must be 'float32' or 'bfloat16', not {self.dtype!r}"
                             f"{did_you_mean(self.dtype, ('float32', 'bfloat16'))}")
        if self.views is not None and (isinstance(self.views, bool) or not isinstance(self.views, int)
                                       or self.views < 1):
            raise ValueError(f'schedule.cache: `views` must be a whole number from 1 on, not {self.views!r}')

    def __bool__(self) -> bool:
        return bool(self.memory or self.disk)

    @classmethod
    def of(cls, value: Any) -> 'CacheSettings':
        """Reads the value of ``schedule.cache``.

        Args:
            value: GiB of memory, or a dict with the attributes.

        Returns:
            The settings; false where nothing is to be kept.

        Raises:
            ValueError: A key or a value makes no sense.
        """
        if isinstance(value, CacheSettings):
            return value
        if not isinstance(value, Mapping):
            return cls(memory=0.0 if value is None else value)
        known = [entry.name for entry in fields(cls)]
        for key in value:
            if key not in known:
                raise ValueError(f'schedule.cache: there is no {key!r}{did_you_mean(key, known)} (it takes {known})')
        return cls(**value)
