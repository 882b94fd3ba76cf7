"""What a run leaves in its work directory, and the commit that it was made with."""

import subprocess
from pathlib import Path

import torch

import skd_mm
from skd_mm.checkpoint import read_checkpoint


def newest(folder: Path, pattern: str) -> Path:
    """Return the newest file of a pattern.

    Args:
        folder: A folder.
        pattern: The pattern, such as ``'*/*.json'``.

    Returns:
        The file.

    Raises:
        ValueError: No file matches.
    """
    return max(folder.glob(pattern), key=lambda path: path.stat().st_mtime_ns)


def last_checkpoint(work_dir: Path) -> Path:
    """Return the checkpoint that a training ended with."""
    return work_dir / Path((work_dir / 'last_checkpoint').read_text().strip()).name


def best_checkpoint(work_dir: Path) -> Path:
    """Return the best checkpoint of a training.

    Args:
        work_dir: Its work directory.

    Returns:
        The best one of the last phase; in a run without phases, the newest ``best_*.pth``. The last one if the run kept
        no best one.
    """
    last = last_checkpoint(work_dir)
    checkpoint = read_checkpoint(last, 'cpu')
    if 'schedule' in checkpoint:
        best = checkpoint.get('best', {}).get(checkpoint['schedule']['phases'][-1])
        return work_dir / best['file'] if best else last
    if any(work_dir.glob('best_*.pth')):
        return newest(work_dir, 'best_*.pth')
    return last


def same_weights(one: Path, other: Path) -> bool:
    """Return whether two checkpoints hold the same weights, as if the last one is the best."""
    if one == other:
        return True
    first, second = (read_checkpoint(path, 'cpu')['state_dict'] for path in (one, other))
    return first.keys() == second.keys() and all(torch.equal(value, second[key]) for key, value in first.items())


def find_commit() -> str | None:
    """Return the commit of this checkout, with ``-dirty`` if files were changed; None outside of git."""
    root = Path(skd_mm.__file__).resolve().parents[1]
    try:
        found = subprocess.run(['git', 'describe', '--always', '--abbrev=40', '--exclude=*', '--dirty'], cwd=root,
                               text=True, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
