"""Settings of the cache of a schedule."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from skd_mm.registry import ENCODINGS
from skd_mm.utils import did_you_mean


@dataclass(frozen=True)
class CacheSettings:
    """``schedule.cache``: a number, which is ``memory``, or a dict with these keys.

    A sample's features are stored in the first tier that has room: ``memory``, then ``host``, then ``disk``.

    Attributes:
        memory: GiB per process on the device that trains. Defaults to 0.
        host: GiB per process in pinned memory of the host. Defaults to 0.
        disk: GiB per process on disk. Defaults to 0.
        dir: Folder of the files; each run has a folder of its own there. Defaults to the work directory.
        dtype: ``'float32'`` (the default) stores features as they are. ``'bfloat16'`` stores those of 32 bits in half
            the memory and rounds them: weights then differ slightly from those without a cache.
        views: None (the default) needs images that are the same each time they are read. A number permits a random
            training pipeline: each image then has that many augmented views, which alternate by epoch.
        images: GiB per process of the host's memory for the images themselves, of training and validation, so that
            their files are read once per run. If they need more, the files are read in every epoch. Defaults to 1.

    Raises:
        ValueError: A key or a value is invalid.
    """

    memory: float = 0.0
    host: float = 0.0
    disk: float = 0.0
    dir: str | None = None
    dtype: str = 'float32'
    views: int | None = None
    images: float = 1.0

    def __post_init__(self) -> None:
        """Check the values."""
        for key in ('memory', 'host', 'disk', 'images'):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float('inf'):
                raise ValueError(f'schedule.cache: `{key}` is a number of GiB, 0 or more, not {value!r}')
        if not isinstance(self.dtype, str) or ENCODINGS.get(self.dtype) is None:
            known = list(ENCODINGS.module_dict)
            raise ValueError(f'schedule.cache: `dtype` must be one of {known}, not {self.dtype!r}'
                             f'{did_you_mean(self.dtype, known)}')
        if self.views is not None and (isinstance(self.views, bool) or not isinstance(self.views, int)
                                       or self.views < 1):
            raise ValueError(f'schedule.cache: `views` must be a positive integer, not {self.views!r}')

    def __bool__(self) -> bool:
        return bool(self.memory or self.host or self.disk)

    @classmethod
    def of(cls, value: Any) -> 'CacheSettings':
        """Read the value of ``schedule.cache``.

        Args:
            value: GiB of memory, or a dict with the attributes.

        Returns:
            The settings; false if no features are to be stored.

        Raises:
            ValueError: A key or a value is invalid.
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
