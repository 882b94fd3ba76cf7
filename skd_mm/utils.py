"""Small helpers that several rooms share."""

import difflib
import gc
import hashlib
import json
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.utils.data
from torch import Tensor

# Where a training sample carries its index in the data set; OpenMMLab's `sample_idx` counts a validation set's too.
INDEX = 'skd_mm_index'
# And a validation sample in its own: files have one name in several data sets, and `sample_idx` begins anew in each.
VALIDATION_INDEX = 'skd_mm_validation_index'
# Which of an image's augmented views it is, where there is a bank of them.
VIEW = 'skd_mm_view'


def did_you_mean(name: str, choices: Iterable[str], count: int = 3) -> str:
    """The end of an error message that names what a misspelt name may have meant.

    Args:
        name: The name that was not found.
        choices: The names that exist.
        count: How many suggestions at most.

    Returns:
        ``"; did you mean 'a', 'b' or 'c'?"``, or an empty string where nothing is close.
    """
    close = difflib.get_close_matches(str(name), [str(choice) for choice in choices], n=count, cutoff=0.5)
    if not close:
        return ''
    quoted = [repr(match) for match in close]
    return f"; did you mean {' or '.join(filter(None, [', '.join(quoted[:-1]), quoted[-1]]))}?"


def described(cfg: Mapping[str, Any] | Sequence) -> str:
    """A part of a config in a few words, for error messages.

    Args:
        cfg: The part, with its ``type``, or several.

    Returns:
        ``"PascalVOCDataset(data_root='data', img_suffix=3)"``: long settings are left out.
    """
    if not isinstance(cfg, Mapping):
        return ', '.join(map(described, cfg))
    short = {key: repr(value) for key, value in cfg.items() if key not in ('type', '_scope_')}
    settings = ', '.join(f'{key}={text}' for key, text in short.items() if len(text) <= 60)
    return f'{cfg.get("type")}({settings})'


def derive_seed(*parts: int | str) -> int:
    """A seed that is a function of all the parts, and of nothing else.

    Args:
        *parts: For example the run's seed, the phase, the epoch and the position.

    Returns:
        A number in [0, 2**32), which every random generator in use takes.
    """
    digest = hashlib.blake2b('/'.join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, 'big')


def label_of(sample: Any) -> Tensor | None:
    """The ground truth of a data sample of mmsegmentation or mmpretrain.

    Args:
        sample: The data sample.

    Returns:
        Its class, ``[]``, or map of classes, ``[H, W]``; None where there is none, or several.
    """
    if 'gt_sem_seg' in sample:
        return sample.gt_sem_seg.data[0]
    label = sample.get('gt_label')
    return label[0] if isinstance(label, Tensor) and label.numel() == 1 else None


def seed_everything(seed: int) -> None:
    """Sets the state of Python's, NumPy's and PyTorch's global generators (on all devices).

    Args:
        seed: In [0, 2**32).
    """
    random.seed(seed)
    np.random.seed(seed)
    # torch.manual_seed formats a traceback for every device that is not there, half a millisecond a call.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized() and not torch.utils.data.get_worker_info():
        torch.cuda.manual_seed_all(seed)


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """For the time of this the global generators start from a seed of its own; afterwards they are as they were.

    Args:
        seed: In [0, 2**32).
    """
    python, numpy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        seed_everything(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def replace_synced(unfinished: Path, path: Path) -> None:
    """Gives a finished file its name, behind a sync of its content and before one of its folder.

    Args:
        unfinished: The file.
        path: Its name; what was there is replaced.
    """
    with open(unfinished, 'rb') as file:
        os.fsync(file.fileno())
    os.replace(unfinished, path)
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


def leave_group() -> None:
    """Ends the work with other processes; nothing in a process of its own.

    To be called when nothing refers to what was trained any more: a backend that something still holds when the
    interpreter ends is aborted there, and the whole job fails at its very end.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        gc.collect()
