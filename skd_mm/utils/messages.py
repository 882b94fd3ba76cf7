"""Parts of error messages, and errors as messages."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any


def did_you_mean(name: str, choices: Iterable[str], count: int = 3) -> str:
    """Return the end of an error message that names what a misspelt name may have meant.

    Args:
        name: The name that was not found.
        choices: The names that exist.
        count: How many suggestions at most. Defaults to 3.

    Returns:
        ``"; did you mean 'a', 'b' or 'c'?"``, or an empty string if nothing is close.
    """
    close = difflib.get_close_matches(str(name), [str(choice) for choice in choices], n=count, cutoff=0.5)
    if not close:
        return ''
    quoted = [repr(match) for match in close]
    return f"; did you mean {' or '.join(filter(None, [', '.join(quoted[:-1]), quoted[-1]]))}?"


def described(cfg: Mapping[str, Any] | Sequence) -> str:
    """Return a part of a config in a few words, for error messages.

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


def error_message(error: Exception) -> str:
    """Return what an error says, without the quotes of a ``KeyError`` and the number of an ``OSError``.

    Args:
        error: The error.

    Returns:
        Its message; its class if it has none.
    """
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    if isinstance(error, OSError) and error.strerror and error.filename is None:
        return error.strerror
    return str(error) or type(error).__name__


@contextmanager
def exit_on_error(tool: str, *more: type[Exception]) -> Iterator[None]:
    """End a command line tool with a single message instead of a traceback if a user can fix the error.

    Args:
        tool: The name of the tool, which begins the message.
        *more: Classes of errors that are reported so besides ``AssertionError``, ``ImportError``, ``KeyError``,
            ``OSError``, ``TypeError`` and ``ValueError``.

    Raises:
        SystemExit: One of these errors was raised.
    """
    expected: tuple[type[Exception], ...] = (AssertionError, ImportError, KeyError, OSError, TypeError, ValueError)
    try:
        yield
    except (*expected, *more) as error:
        raise SystemExit(f'{tool}: {error_message(error)}') from error
