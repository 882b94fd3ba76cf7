"""The parts that a page is made of."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markdown_it import MarkdownIt

from .encoding import svg_uri


@dataclass
class Table:
    """A table; the first ``left`` columns are aligned to the left.

    Attributes:
        columns: Headers.
        rows: Cells.
        note: Text below the table.
        left: Number of columns that are text.
        title: Text above the table.
        dots: Whether rows are methods and have a dot in the method's colour.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ''
    left: int = 1
    title: str = ''
    dots: bool = False
    kind: str = 'table'


@dataclass
class Picture:
    """A figure.

    Attributes:
        svg: An SVG file.
        caption: Text below it, which also describes it to screen readers.
        title: Text above it.
    """

    svg: bytes
    caption: str
    title: str = ''
    kind: str = 'picture'

    @property
    def uri(self) -> str:
        """The figure as a data URI."""
        return svg_uri(self.svg)


@dataclass
class Markdown:
    """Text in Markdown, with tables."""

    text: str
    kind: str = 'markdown'

    @property
    def html(self) -> str:
        """The text as HTML; HTML in the text is escaped."""
        return MarkdownIt('commonmark', dict(html=False)).enable('table').render(self.text)


@dataclass
class Gallery:
    """Images with the predictions of networks, which the page's script shows.

    Attributes:
        data: Values that JSON can hold, see
            :meth:`~skd_mm.analysis.report.predictions.Predictions.gallery`.
        methods: Names of the networks in their order.
        caption: Text above it.
    """

    data: dict[str, Any]
    methods: Sequence[str]
    caption: str
    kind: str = 'gallery'

    @property
    def json(self) -> str:
        """The data as JSON that can stand in a ``script`` element."""
        text = json.dumps(dict(self.data, methods=list(self.methods)))
        return text.replace('<', '\\u003c').replace('>', '\\u003e').replace('&', '\\u0026')


@dataclass
class Section:
    """A part of the page with a title.

    Attributes:
        title: The title.
        blocks: What is in it; a section without blocks is left out.
        name: Its anchor.
        folded: Whether it is folded at first.
    """

    title: str
    name: str
    blocks: list[Any] = field(default_factory=list)
    folded: bool = False
