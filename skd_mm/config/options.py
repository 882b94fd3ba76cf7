"""``--cfg-options KEY=VALUE``: settings of the command line that replace those of a config."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config, DictAction


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """Parse settings as MMEngine's ``DictAction`` does, and dicts besides.

    Args:
        options: Settings such as ``'schedule.fraction=0.1'`` or ``"model.student.options={'model.x': 12}"``. A value
            that contains a dict is Python, with quoted strings.

    Returns:
        The value of each key.

    Raises:
        ValueError: A setting lacks its ``=``, or its value cannot be parsed.
    """
    values = {}
    for option in options:
        key, sign, text = option.partition('=')
        if not sign:
            raise ValueError(f'--cfg-options {option}: a setting has the form KEY=VALUE')
        try:
            values[key] = _parse(text.strip())
        except (AssertionError, SyntaxError, ValueError) as error:
            raise ValueError(f'--cfg-options {option}: the value cannot be parsed ({error}); strings in a dict are '
                             "quoted, as in model.student.options=\"{'model.decode_head.num_classes': 12}\"") from error
    return values


def _parse(text: str) -> Any:
    if '{' in text and text[0] in '{[(':
        return ast.literal_eval(text)
    return DictAction._parse_iterable(text)


def merge_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Set values in a config by their dotted keys.

    Args:
        cfg: The config; it is changed.
        options: The value of each key, see :func:`parse_options`.

    Raises:
        ValueError: There is no place for a key in the config; the message shows what is there instead.
    """
    for key, value in options.items():
        try:
            cfg.merge_from_dict({key: value})
        except (AttributeError, KeyError, TypeError) as error:
            path, owner = _last_owner(cfg, key)
            what = f'{path} is {str(owner)[:200]!r}' if path else str(error.args[0])
            hint = f': give the whole list, {path}="[...]"' if isinstance(owner, list) else ''
            raise ValueError(f'--cfg-options {key}={value}: it cannot be set, as {what}{hint}') from error


def _last_owner(cfg: Config, key: str) -> tuple[str, Any]:
    """Return the path and the value of the innermost existing part of a config that a key leads through."""
    owner: Any = cfg.to_dict()
    path: list[str] = []
    for part in key.split('.')[:-1]:
        if isinstance(owner, list) and part.isdigit() and int(part) < len(owner):
            inner = owner[int(part)]
        elif isinstance(owner, Mapping) and owner.get(part) is not None:
            inner = owner[part]
        else:
            break
        owner = inner
        path.append(part)
    return '.'.join(path), owner
