"""Writing files."""

import json
import os
from pathlib import Path
from typing import Any


def atomic_replace(tmp: Path, path: Path) -> None:
    """Gives a finished file its name, behind a sync of its content and before one of its folder.

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


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes numbers to a file, in folders that are made where they are missing.

    Args:
        path: The file.
        value: What JSON can hold.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(value, indent=2) + '\n')
