"""Progress of the runs on the terminal."""

import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from skd_mm.analysis.logs import Span, read_run

from .plan import Run
from .record import RunRecord
from .settings import TITLES

LINE_SECONDS = 15.0
"""Without a terminal, at least this much time passes between two lines of a run within a phase."""

WIDTH = max(map(len, TITLES.values())) + 2


class Display:
    """Lines with the time since the start; on a terminal, also a progress bar for each training.

    Args:
        console: Where to print. Defaults to the standard output.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.start = time.monotonic()
        self.bars = Progress(
            TextColumn('       {task.fields[title]:' + str(WIDTH - 1) + '}', table_column=Column(no_wrap=True)),
            BarColumn(20), TextColumn('{task.percentage:3.0f} %', table_column=Column(no_wrap=True)),
            TextColumn('{task.description}', table_column=Column(ratio=1, no_wrap=True, overflow='ellipsis')),
            console=self.console, transient=True, expand=True)

    def __enter__(self) -> 'Display':
        if self.console.is_terminal:
            self.bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if self.console.is_terminal:
            self.bars.stop()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    def log(self, title: str, text: str) -> None:
        """Print a line.

        Args:
            title: Title of a run, or another topic.
            text: The rest of the line.
        """
        minutes, seconds = divmod(int(self.seconds), 60)
        self.console.print(f'{minutes:2}:{seconds:02}  {title:{WIDTH}}{text}', markup=False, emoji=False)


class TrainingProgress:
    """Reporter of a training: a line at the end of each phase, and its position in between.

    Args:
        display: Where to report.
        run: The run.
        folder: Work directory of the run.
        record: Updated with the seconds that the run has taken.
    """

    def __init__(self, display: Display, run: Run, folder: Path, record: RunRecord) -> None:
        self.display = display
        self.run = run
        self.folder = folder
        self.record = record
        self.seconds_before = record['seconds']
        self.started = self.last_line = time.monotonic()
        self.last_text = ''
        self.reported = len(self._spans()[:-1])
        self.task = display.bars.add_task('starting', total=run.cost.iterations, title=run.title)

    def _spans(self) -> list[Span]:
        try:
            return read_run(self.folder).spans()
        except (FileNotFoundError, ValueError):  # nothing is logged yet
            return []

    def poll(self) -> None:
        """Read the log, and report what is new."""
        spans = self._spans()
        for span in spans[self.reported:-1]:
            self._print(span)
            self.reported += 1
        if not spans:
            return
        text = self.describe(spans[-1])
        self.display.bars.update(self.task, completed=spans[-1].end, description=text)
        if not self.display.console.is_terminal and time.monotonic() - self.last_line > LINE_SECONDS:
            self._print(spans[-1])

    def end(self) -> None:
        """Report the last phase."""
        self.poll()
        for span in self._spans()[-1:]:
            self._print(span)
        self.display.bars.remove_task(self.task)

    def _print(self, span: Span) -> None:
        self.last_line = time.monotonic()
        self.record.update(seconds=self.seconds_before + self.last_line - self.started)
        text = self.describe(span)
        if text != self.last_text:
            self.display.log(self.run.title, text)
        self.last_text = text

    def describe(self, span: Span) -> str:
        """Return where a phase is: ``'phase 2/11 backbone.layer1, iteration 48/3300, training loss 0.1234'``."""
        parts = []
        phases = self.run.phases
        if len(phases) > 1:
            parts.append(f'phase {phases.index(span.name) + 1}/{len(phases)} {span.name}')
        parts.append(f'iteration {span.end}/{self.run.cost.iterations}')
        for key, mode, name, digits in (('loss', 'train', 'training loss', 4),
                                        ('spot_loss', 'val', 'validation loss', 4),
                                        ('mIoU', 'val', 'validation mIoU', 2)):
            values = span.series(key, mode)
            if values:
                parts.append(f'{name} {values[-1][1]:.{digits}f}')
        return ', '.join(parts)
