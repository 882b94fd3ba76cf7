"""Counts what makes the host wait for the device, by the line of source that asked for it."""

import os
import sys
import sysconfig
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.weak import WeakTensorKeyDictionary

import skd_mm

PACKAGE = f'{Path(skd_mm.__file__).parent}{os.sep}'
ROOT = f'{Path(skd_mm.__file__).parents[1]}{os.sep}'
LIBRARIES = f'{Path(torch.__file__).parents[1]}{os.sep}'
PYTHON = f'{sysconfig.get_paths()["stdlib"]}{os.sep}'
# Frames of PyTorch and of the device are no answer to the question of who waits.
TRANSPARENT = (f'{Path(torch.__file__).parent}{os.sep}', *(str(Path(__file__).with_name(f'{name}.py'))
                                                           for name in ('backend', 'ledger', 'tensor')))


@dataclass(frozen=True)
class Record:
    """One event.

    Attributes:
        kind: ``'wait'``: the host stands still until the device has done all that is queued. ``'copy'``: so it does for
            a copy to the device from pageable memory, or without ``non_blocking``. ``'event'``: it waits for what was
            queued before an event was recorded, and for nothing after it.
        op: The operation.
        line: The innermost line of source outside PyTorch, ``skd_mm/x.py:12 in name``.
        ours: Whether that line is the package's.
        through: The innermost line of the package, if there is one.
        step: The iteration of the training; None outside of one.
        first: Whether it is the first iteration of a phase.
    """

    kind: str
    op: str
    line: str
    ours: bool
    through: str
    step: int | None
    first: bool


class Ledger:
    """All events of a run.

    Attributes:
        records: In order.
        step: The iteration that runs; None outside of one.
        first: Whether it is the first iteration of a phase.
        steps: How many iterations have ended.
        phases: How many phases have begun.
        time: How many non-blocking copies to the host have begun.
    """

    def __init__(self):
        self.records: list[Record] = []
        self.step: int | None = None
        self.first = False
        self.steps = 0
        self.phases = 0
        self.time = 0
        self._lock = threading.Lock()
        self._in_flight = WeakTensorKeyDictionary()

    def wait(self, op):
        """The host waits for all that is queued."""
        self._record('wait', op)
        self._in_flight.clear()

    def copy(self, op):
        """The host waits for a copy to the device."""
        self._record('copy', op)

    def copy_to_device(self, asynchronous):
        """A copy to the device."""
        if not asynchronous:
            self.copy('a copy to the device')

    def copy_to_host(self, target, asynchronous):
        """A copy to a tensor of the CPU, which may not be read before something has waited for it."""
        if not asynchronous:
            self.wait('a copy to the host')
            return
        with self._lock:
            self.time += 1
            self._in_flight[target] = self.time

    def wait_for(self, time):
        """The host waits for an event that was recorded after so many copies."""
        if time is None:
            raise RuntimeError('the event was never recorded')
        self._record('event', 'Event.synchronize')
        for tensor, begun in list(self._in_flight.items()):
            if begun <= time:
                del self._in_flight[tensor]

    def check_arrived(self, tensors):
        """Refuses to read what a non-blocking copy may not have filled yet."""
        if len(self._in_flight) and any(tensor in self._in_flight for tensor in tensors):
            raise RuntimeError('a non-blocking copy from the device is read before anything has waited for it')

    def find(self, kind, ours=True, first=False):
        """Events of one kind inside the iterations.

        Args:
            kind: See :class:`Record`.
            ours: Those of the package's own lines; False for all.
            first: Those of the first iteration of each phase; False for those of all others.
        """
        return [record for record in self.records if record.kind == kind and record.step is not None
                and record.first is first and (record.ours or not ours)]

    def report(self, kind, **which):
        """The same counted by line, the most frequent first."""
        counts = Counter((record.op, record.line, '' if record.ours else record.through)
                         for record in self.find(kind, **which))
        rows = [f'{count:5} × {kind}: {op} at {line}' + (f' (through {through})' if through else '')
                for (op, line, through), count in counts.most_common()]
        return '\n'.join([f'{self.steps} iterations', *rows])

    def _record(self, kind, op):
        line, through = _place(sys._getframe(1))
        with self._lock:
            self.records.append(Record(kind, op, line, bool(line) and line == through, through, self.step, self.first))


def _place(frame):
    """The innermost line outside PyTorch, and the innermost one of the package."""
    line = ''
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(TRANSPARENT) and not _is_pythons(file):
            here = f'{_short(file)}:{frame.f_lineno} in {frame.f_code.co_name}'
            line = line or here
            if file.startswith(PACKAGE):
                return line, here
        frame = frame.f_back
    return line, ''


def _is_pythons(file):
    return file.startswith('<') or (file.startswith(PYTHON) and not file.startswith(LIBRARIES))


def _short(file):
    # The libraries come first: their environment may be a folder of the repository.
    return file.removeprefix(LIBRARIES).removeprefix(ROOT)
