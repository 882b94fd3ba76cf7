"""The page of a campaign."""

from collections.abc import Mapping
from typing import Any

_COLUMNS = {
    'ms_naive': 'full forward passes, ms', 'ms_truncated': 'truncated, ms', 'ms_cached': 'cached, ms',
    'ms_bare': 'bare loop, ms', 'overhead_ms_truncated': 'overhead, ms', 'images_per_s': 'images per second'}


def render_page(record: Mapping[str, Any]) -> str:
    """Return the page of a campaign in Markdown.

    Args:
        record: What ``campaign.json`` holds.

    Returns:
        Its parts with their commands and numbers.
    """
    environment = record['environment']
    lines = ['# GPU campaign', '', f'{environment["device"]}, PyTorch {environment["torch"]}, commit '
             f'`{environment["commit"]}`.', '']
    for name, part in record['parts'].items():
        lines += [f'## {part["title"]}', '', f'`{name}`: {part["status"]}, {part["seconds"]:.0f} s', '', '```bash',
                  ' '.join(['python', *part['command']]), '```', '']
        result = part.get('result') or {}
        if result.get('phases'):
            lines += _phase_table(result['phases'])
        elif part['status'] != 'done' or name == 'tests':
            lines += ['```', *part['last_lines'][-8:], '```', '']
    return '\n'.join(lines)


def _phase_table(phases: list[Mapping[str, Any]]) -> list[str]:
    columns = {key: title for key, title in _COLUMNS.items() if any(key in phase for phase in phases)}
    rows = ['| phase | ' + ' | '.join(columns.values()) + ' |', '| --- ' * (len(columns) + 1) + '|']
    for phase in phases:
        cells = []
        for key in columns:
            cells.append(f'{phase[key]:.2f}' if key in phase else '')
        rows.append(f'| {phase["name"]} | ' + ' | '.join(cells) + ' |')
    return [*rows, '']
