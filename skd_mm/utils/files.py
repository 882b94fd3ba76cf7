"""Writing files."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def atomic_replace(tmp: Path, path: Path) -> None:
    """Sync a finished file, rename it, and sync its folder.

    Args:
        tmp: The file.
        path: Its name; what was there is replaced.
    """
    with open(tmp, 'rb') as file:
        os.fsync(file.fileno())
    os.replace(tmp, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Create a folder that appears complete or not at all.

    Args:
        path: The folder. If it exists when the context ends, it must be empty.

    Yields:
        A temporary folder next to it, which is renamed at the end, and removed after an error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = Path(tempfile.mkdtemp(prefix=f'.{path.name}-', dir=path.parent))
    try:
        yield tmp
        tmp.chmod(0o755)
        tmp.rename(path)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write numbers to a file, and create missing folders.

    Args:
        path: The file.
        value: What JSON can hold.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(value, indent=2) + '\n')
