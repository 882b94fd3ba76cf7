import threading
import time

import pytest

from skd_mm.analysis.demo import Stopped
from skd_mm.analysis.demo.processes import ToolRunner


@pytest.fixture
def tools(tmp_path):
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'tools' / 'fail.py').write_text('import sys\nprint("the reason")\nsys.exit(3)\n')
    (tmp_path / 'tools' / 'sleep.py').write_text('import time\nprint("started", flush=True)\ntime.sleep(60)\n')
    return ToolRunner(tmp_path, tmp_path / 'work')


def test_a_second_demo_in_the_folder_is_refused(tools, tmp_path):
    with pytest.raises(Stopped, match='still running'):
        ToolRunner(tmp_path, tmp_path / 'work')


def test_a_failure_shows_the_output_and_the_command(tools, tmp_path):
    with pytest.raises(Stopped, match=r'(?s)the reason.*exit code 3.*python tools/fail.py --option'):
        tools.call(['tools/fail.py', '--option'], tmp_path / 'out.log')


def test_stopping_ends_running_tools_and_starts_no_others(tools, tmp_path):
    thread, errors = start(tools, tmp_path)
    tools.stop()
    thread.join(10)
    assert errors == ['stopped']
    with pytest.raises(Stopped, match=r'^stopped$'):
        tools.call(['tools/fail.py'], tmp_path / 'out.log')


def test_running_tools_hold_the_lock(tools, tmp_path):
    """A training that outlives its demo still protects the folder."""
    thread, _ = start(tools, tmp_path)
    tools.lock.close()
    try:
        with pytest.raises(Stopped, match='still running'):
            ToolRunner(tmp_path, tmp_path / 'work')
    finally:
        tools.stop()
        thread.join(10)
    ToolRunner(tmp_path, tmp_path / 'work')


def start(tools, tmp_path):
    """Start a tool in a thread, and wait until it runs; return the thread and the errors it ends with."""
    output, errors, polled = tmp_path / 'out.log', [], []

    def call():
        try:
            tools.call(['tools/sleep.py'], output, lambda: polled.append(1))
        except Stopped as error:
            errors.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    while not polled or not output.read_text():
        time.sleep(0.05)
    return thread, errors
