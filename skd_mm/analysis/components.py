"""Lists of everything that a config can name, from the registries."""

import inspect
from collections.abc import Iterator
from typing import Any

from mmengine.registry import Registry

from skd_mm import registry
from skd_mm.registry import SCOPE
from skd_mm.utils import text_table

GROUPS: dict[str, tuple[str, Registry, str]] = {
    'losses': ('Losses', registry.LOSSES, '`loss` of a spot'),
    'connectors': ('Connectors', registry.CONNECTORS, '`connector` and `teacher_connector` of a spot'),
    'recipes': ('Recipes', registry.RECIPES, '`schedule`'),
    'metrics': ('Metrics', registry.METRICS, '`val_evaluator` and `test_evaluator`'),
    'memories': ('Memories', registry.MEMORIES, '`memory` of a loss'),
    'transforms_of_networks': ('Transforms of networks', registry.NETWORK_TRANSFORMS,
                               '`transform` of `model.student` and `model.teacher`'),
    'models': ('Models', registry.MODELS, '`model` and its parts'),
    'datasets': ('Data sets', registry.DATASETS, '`dataset` of a data loader'),
    'transforms': ('Transforms', registry.TRANSFORMS, '`pipeline` of a data set'),
    'hooks': ('Hooks', registry.HOOKS, '`custom_hooks`'),
    'schedulers': ('Parameter schedulers', registry.PARAM_SCHEDULERS, '`param_scheduler`'),
}
"""Title, registry and place in a config of each group."""


def components(group: str) -> dict[str, type]:
    """Return what this toolkit has registered.

    Args:
        group: A key of :data:`GROUPS`.

    Returns:
        The classes by their names, in alphabetical order.
    """
    found = GROUPS[group][1]
    found.import_from_location()
    own = {name: kind for name, kind in found.module_dict.items() if kind.__module__.partition('.')[0] == SCOPE}
    return dict(sorted(own.items(), key=lambda item: item[0].lower()))


def summary(kind: type) -> str:
    """Return the first sentence of a class's docstring, in one line."""
    text = ' '.join((inspect.getdoc(kind) or '').split('\n\n')[0].split())
    return text.partition('. ')[0].rstrip('.') + '.' if text else ''


def arguments(kind: type) -> list[str]:
    """Return the arguments of a class as in a config: ``['temperature=4.0']``."""
    return list(_arguments(kind))


def _arguments(kind: type) -> Iterator[str]:
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        yield name if parameter.default is parameter.empty else f'{name}={_short(parameter.default)}'


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 and ' object at 0x' not in text and not text.startswith('<') else '…'


def components_page() -> str:
    """Return the lists of all groups in Markdown."""
    parts = ['# Components', 'All classes of this toolkit that a config can name, from its registries. With the prefix '
             '`skd_mm.`, they can be named in every config of OpenMMLab; losses, connectors, memories and recipes need '
             'no prefix. The same lists on the command line: `python tools/misc/list_components.py`.']
    for group, (title, _, place) in GROUPS.items():
        found = components(group)
        if not found:
            continue
        parts += [f'## {title}', f'For {place}.']
        rows = ['| name | arguments | |', '| --- | --- | --- |']
        for name, kind in found.items():
            known = ', '.join(f'`{argument}`' for argument in arguments(kind))
            rows.append(f'| `{name}` | {_cell(known)} | {_cell(_plain(summary(kind)))} |')
        parts.append('\n'.join(rows))
    return '\n\n'.join(parts) + '\n'


def components_text(group: str) -> str:
    """Return the list of a group as plain text.

    Args:
        group: A key of :data:`GROUPS`.

    Returns:
        A table.
    """
    rows = [[name, _plain(summary(kind))] for name, kind in components(group).items()]
    title, _, place = GROUPS[group]
    return f'{title}, for {_plain(place)}\n{text_table([title.lower(), ""], rows, left=2)}'


def _cell(text: str) -> str:
    return text.replace('|', '\\|')


def _plain(text: str) -> str:
    """Return a docstring's sentence without the markup of Sphinx."""
    for role in (':class:', ':meth:', ':func:', ':attr:', ':data:', ':math:'):
        text = text.replace(role, '')
    return text.replace('``', '`').replace('`~', '`')
