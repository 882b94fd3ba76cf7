"""Parts of error messages."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


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
