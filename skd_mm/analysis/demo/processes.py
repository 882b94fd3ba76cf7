"""Processes of the demo: one folder has one demo, and all its processes end with it."""

import fcntl
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

POLL_SECONDS = 0.5


class Stopped(Exception):
    """A run failed, or the user interrupted the demo."""


class ToolRunner:
    """Runner of this repository's tools as processes.

    Args:
        root: Root of the repository.
        folder: The work directory, which is locked.

    Raises:
        Stopped: Another demo is running in the folder.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.children: set[subprocess.Popen] = set()
        self.stopping = threading.Event()
        folder.mkdir(parents=True, exist_ok=True)
        # Children inherit the lock, and hold it for as long as they live, even if this process is killed.
        self.lock = open(folder / '.lock', 'w')  # noqa: SIM115
        os.set_inheritable(self.lock.fileno(), True)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Stopped(f'another demo, or a training that it left, is still running in {folder}: wait for it, or '
                          'give another --work-dir') from None

    def check(self) -> None:
        """Raise :class:`Stopped` if no new process may be started."""
        if self.stopping.is_set():
            raise Stopped('stopped')

    def stop(self) -> None:
        """Terminate all processes."""
        self.stopping.set()
        for child in list(self.children):
            child.terminate()

    def call(self, command: Sequence[str], output: Path, poll: Callable[[], None] | None = None) -> None:
        """Run a tool.

        Args:
            command: Path of the tool, relative to the root, and its arguments.
            output: File to append what the tool prints to.
            poll: Called regularly while the tool runs. Defaults to None.

        Raises:
            Stopped: The tool failed, or was stopped.
        """
        self.check()
        paths = [str(self.root), *filter(None, [os.environ.get('PYTHONPATH')])]
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(paths), PYTHONUNBUFFERED='1', MPLBACKEND='Agg')
        environment.setdefault('OMP_NUM_THREADS', '1')
        with open(output, 'ab') as file:
            child = subprocess.Popen(
                [sys.executable, self.root / command[0], *command[1:]], env=environment, stdin=subprocess.DEVNULL,
                stdout=file, stderr=subprocess.STDOUT, pass_fds=[self.lock.fileno()])
        self.children.add(child)
        if self.stopping.is_set():
            child.terminate()
        while True:
            try:
                code = child.wait(POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if poll is not None:
                    poll()
        self.children.discard(child)
        if code:
            self.check()
            lines = output.read_text(errors='replace').splitlines()[-30:]
            raise Stopped('\n'.join([*lines, '', f'This command failed with exit code {code}; {output} has its output:',
                                     f'    {shlex.join(["python", *command])}']))
