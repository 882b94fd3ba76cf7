"""Tables as plain text."""

from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table


def text_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], left: int = 1) -> str:
    """Return a table as text, as wide as its content.

    Args:
        columns: The headers.
        rows: The cells of each row, as many as there are headers; None is an empty cell.
        left: How many columns are aligned to the left, from the first on. The others are aligned to the right.
            Defaults to 1.

    Returns:
        Lines without colours and without spaces at their ends.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify='left' if number < left else 'right', no_wrap=True)
    for row in rows:
        table.add_row(*('' if cell is None else str(cell) for cell in row))
    stream = StringIO()
    Console(file=stream, width=10_000, color_system=None, markup=False, highlight=False).print(table)
    return '\n'.join(line.rstrip() for line in stream.getvalue().splitlines())
