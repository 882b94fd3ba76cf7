"""Running the parts of a campaign within a budget of time, and resuming them."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from skd_mm.utils import write_json

from .page import render_page
from .parts import Part

DONE, PARTIAL, FAILED = 'done', 'partial', 'failed'
_LAST_LINES = 30


def run_campaign(parts: Sequence[Part], out: Path, minutes: float = 40, part_minutes: float = 10) -> dict[str, Any]:
    """Run what is missing of a campaign.

    The record is written after each part, so that a campaign that was stopped continues where it was: finished parts
    are skipped, and parts that failed or ran out of time are run again.

    Args:
        parts: The parts in their order.
        out: The folder for ``campaign.json``, ``campaign.md``, and a log per part.
        minutes: Time for this call. No part is started after it.
        part_minutes: Time for each part; it is stopped after that.

    Returns:
        The record.

    Raises:
        RuntimeError: Another process runs a campaign in the same folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / '.lock', timeout=0):
            return _run(parts, out, minutes, part_minutes)
    except Timeout:
        raise RuntimeError(f'another campaign runs in {out}') from None


def _run(parts: Sequence[Part], out: Path, minutes: float, part_minutes: float) -> dict[str, Any]:
    file = out / 'campaign.json'
    record = json.loads(file.read_text()) if file.is_file() else dict(parts={})
    record['environment'] = _environment()
    end = time.monotonic() + minutes * 60
    for part in parts:
        before = record['parts'].get(part.name, {})
        if before.get('status') == DONE and before.get('command') == list(part.command):
            continue
        left = min(part_minutes * 60, end - time.monotonic())
        if left <= 0:
            print(f'{part.name}: no time is left; run the campaign again to continue', flush=True)
            continue
        print(f'{part.name}: {part.title}', flush=True)
        found = _run_part(part, out, left, before.get('seconds', 0.0) if part.resumable else 0.0)
        record['parts'][part.name] = found
        print(f'  {found["status"]} after {found["seconds"]:.0f} s', flush=True)
        write_json(file, record)
        (out / 'campaign.md').write_text(render_page(record))
    return record


def _run_part(part: Part, out: Path, seconds: float, spent: float) -> dict[str, Any]:
    log, begin = out / f'{part.name}.log', time.monotonic()
    with log.open('a' if part.resumable else 'w') as stream:
        try:
            code = subprocess.run([sys.executable, *part.command], stdout=stream, stderr=subprocess.STDOUT,
                                  timeout=seconds, check=False, env=dict(os.environ, PYTHONUNBUFFERED='1')).returncode
            status = DONE if code == 0 else FAILED
        except subprocess.TimeoutExpired:
            code, status = None, PARTIAL
    if part.name == 'tests' and code == 5:  # pytest: there was no test to run, as on a machine without a GPU
        status = DONE
    lines = log.read_text(errors='replace').splitlines()
    result = dict(title=part.title, command=list(part.command), status=status, returncode=code,
                  seconds=spent + time.monotonic() - begin, last_lines=lines[-_LAST_LINES:])
    if part.output is not None and part.output.is_file():
        result['result'] = json.loads(part.output.read_text())
    return result


def _environment() -> dict[str, Any]:
    import torch

    from skd_mm.analysis.run_files import find_commit
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or 'CPU'
    return dict(commit=find_commit(), torch=torch.__version__, device=device, gpus=torch.cuda.device_count(),
                cores=os.cpu_count(), python=platform.python_version())
