"""What is known of a run, kept in a file of its folder."""

import json
import shutil
from pathlib import Path
from typing import Any

from skd_mm.utils import write_json

from .processes import Stopped


class RunRecord:
    """Record of a run in its folder. The folder is emptied if it belongs to a different run.

    Args:
        path: The file.
        identity: Everything that determines the results of the run.

    Raises:
        Stopped: The folder contains other files.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        try:
            self.values: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError):
            self.values = {}
        if self.values.get('identity') == json.loads(json.dumps(identity)):
            return
        folder = path.parent
        if not path.is_file() and folder.is_dir() and any(folder.iterdir()):
            raise Stopped(f'{folder} contains files that are not from the demo; give another --work-dir')
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.values = dict(identity=identity, trained=False, seconds=0.0, test={})
        self.update()

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def update(self, **values: Any) -> None:
        """Set values, and write the file atomically."""
        self.values.update(values)
        tmp = self.path.parent.with_name(f'.{self.path.parent.name}.tmp')
        write_json(tmp, self.values)
        tmp.replace(self.path)
