"""Running the tasks of a plan on this machine, several at a time."""

import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol

from .execution import StoppedError, TaskError, carry_out
from .plan import Plan, Task
from .records import is_done, write_task

WAITING, RUNNING, DONE, FAILED, BLOCKED = 'waiting', 'running', 'done', 'failed', 'blocked'


class Executor(Protocol):
    """Executor of tasks, on this machine or as jobs of a cluster."""

    def carry_out(self, task: Task) -> None:
        """Return when a task is done; raise :class:`TaskError` if it failed."""

    def stop(self) -> None:
        """Let tasks at work raise :class:`StoppedError`."""


class LocalExecutor:
    """Executor of tasks as processes on this machine.

    With several GPUs, each task at work gets one of its own.

    Args:
        plan: The plan.
        jobs: Tasks at a time.
    """

    def __init__(self, plan: Plan, jobs: int) -> None:
        self.plan = plan
        self.stopping = threading.Event()
        self.devices: queue.Queue[str | None] = queue.Queue()
        devices = visible_devices()
        for i in range(jobs):
            self.devices.put(devices[i % len(devices)] if devices else None)

    def carry_out(self, task: Task) -> None:
        """Train and test a task in processes of their own."""
        if self.stopping.is_set():
            raise StoppedError('stopped')
        write_task(self.plan, task)
        device = self.devices.get()
        environment = {} if device is None else dict(CUDA_VISIBLE_DEVICES=device)
        try:
            carry_out(self.plan.folder / task.folder, environment, self.stopping)
        finally:
            self.devices.put(device)

    def stop(self) -> None:
        """Terminate the processes; they can be resumed."""
        self.stopping.set()


def visible_devices() -> list[str]:
    """Return the GPUs of this machine as ``CUDA_VISIBLE_DEVICES`` names them; none if there is at most one."""
    import torch
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count < 2:
        return []
    return os.environ.get('CUDA_VISIBLE_DEVICES', ','.join(map(str, range(count)))).split(',')


class Run:
    """The state of all tasks while they are carried out.

    Args:
        tasks: The tasks.
        done: Whether a task has been done before.

    Attributes:
        states: State of each task by its folder: ``'waiting'``, ``'running'``, ``'done'``, ``'failed'`` or
            ``'blocked'`` (a task that it needs has failed).
        errors: Messages of those that failed.
    """

    def __init__(self, tasks: Sequence[Task], done: Callable[[Task], bool]) -> None:
        self.tasks = {task.folder: task for task in tasks}
        self.states = {task.folder: DONE if done(task) else WAITING for task in tasks}
        self.errors: dict[str, str] = {}

    def in_state(self, state: str) -> list[Task]:
        """Return the tasks in a state, in the order of the plan."""
        return [task for folder, task in self.tasks.items() if self.states[folder] == state]

    def ready(self) -> list[Task]:
        """Return the waiting tasks whose needs are done; those that can never start become blocked."""
        ready = []
        for task in self.in_state(WAITING):
            needs = [self.states[folder] for folder in task.needs]
            if FAILED in needs or BLOCKED in needs:
                self.states[task.folder] = BLOCKED
                failed = next(folder for folder in task.needs if self.states[folder] in (FAILED, BLOCKED))
                self.errors[task.folder] = f'it needs {self.tasks[failed].title}, which failed'
            elif all(state == DONE for state in needs):
                ready.append(task)
        return ready


def run_plan(plan: Plan, executor: Executor, jobs: int, watch: Callable[[Run], None],
             finished: Callable[[Task], object] = lambda task: None, interval: float = 2.0) -> Run:
    """Carry out what is missing of a plan; a task that fails ends no other.

    Args:
        plan: The plan.
        executor: Carries out single tasks.
        jobs: Tasks at a time.
        watch: Called every ``interval`` seconds and after each change.
        finished: Called after a task is done or has failed.
        interval: Seconds.

    Returns:
        The state at the end.

    Raises:
        KeyboardInterrupt: The user stopped it; the executor has been stopped before.
    """
    run = Run(plan.tasks, lambda task: is_done(plan.folder, task))
    futures: dict[Future, Task] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while True:
                for task in run.ready()[:jobs - len(futures)]:
                    run.states[task.folder] = RUNNING
                    futures[pool.submit(executor.carry_out, task)] = task
                watch(run)
                if not futures:
                    break
                for future in wait(futures, interval, FIRST_COMPLETED).done:
                    task = futures.pop(future)
                    _settle(run, task, future)
                    finished(task)
        except BaseException:
            executor.stop()
            raise
    return run


def _settle(run: Run, task: Task, future: Future) -> None:
    """Take over how a task has ended."""
    error = future.exception()
    if error is None:
        run.states[task.folder] = DONE
    elif isinstance(error, StoppedError):
        raise error
    else:
        run.states[task.folder] = FAILED
        run.errors[task.folder] = str(error) if isinstance(error, TaskError) else f'{type(error).__name__}: {error}'


