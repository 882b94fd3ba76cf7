"""Writes ``docs/zoo.md`` from the results of ``sweep.py``: ``python tests/zoo/page.py RESULTS.json …``."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.zoo.families import CHANGES, INPUT_SHAPES, SKIPPED

RESULTS = Path(__file__).with_name('results.json')
PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'zoo.md'

_INTRODUCTION = """# Model zoos

`spots='backbone'` works for the backbones of mmsegmentation and mmpretrain without further settings. This page shows
the stages that it finds. A stage ends where the backbone makes one of its outputs, and where the resolution decreases
next; a backbone of one resolution, such as a vision transformer, is cut into four stages.

```bash
python tests/zoo/sweep.py mmseg --json results.json       # or mmpretrain, mmdet
```

The command takes the smallest config of each family and distils the model from itself, with random weights and images.
Large models are made narrower, since the sweep tests the structure; the lists below name them. Each run has two
iterations of every phase of `Stagewise`, under DDP with `find_unused_parameters=False`, without and with a cache,
which must give the same weights. Then the student is exported and run in the inference code of its own library. A
second call with the same `--json` file resumes; `--again` repeats the families that failed. The tables have all
families that need neither compiled operators nor downloads.
"""


def render(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page.

    Args:
        results: Results by ``library/family``, as ``sweep.py`` writes them.

    Returns:
        Markdown.
    """
    parts = [_INTRODUCTION]
    for library in dict.fromkeys(key.partition('/')[0] for key in results):
        own = {key: result for key, result in results.items() if key.partition('/')[0] == library}
        passed = sum('error' not in result for result in own.values())
        parts.append(f'\n## {library}\n\n{passed} of {len(own)} families pass.\n\n'
                     '| family | config | ends of the stages |\n| --- | --- | --- |\n')
        for key, result in own.items():
            stages = ', '.join(f'`{name.removeprefix("backbone.")}`' for name in result.get('stages', ()))
            if 'error' in result:
                stages = f'fails: {result["error"].splitlines()[0][:160]}'.replace('|', '\\|')
            parts.append(f'| {key.partition("/")[2]} | {Path(result["config"]).stem} | {stages} |\n')
        skipped = SKIPPED.get(library, {})
        if skipped:
            parts.append('\nNot run:\n\n' + ''.join(f'- {name}: {reason}\n' for name, reason in skipped.items()))
        reasons = {key: reason for key, (reason, _) in CHANGES.items()}
        reasons.update({key: f'model.input_shape={shape}, as {reason}'
                        for key, (reason, shape) in INPUT_SHAPES.items()})
        changed = {key: reason for key, reason in reasons.items() if key in own}
        if changed:
            parts.append('\nRun with a changed config:\n\n' + ''.join(
                f'- {key.partition("/")[2]}: {reason}\n' for key, reason in changed.items()))
    return ''.join(parts)


def main() -> None:
    """Merge results into the stored ones, and write the page."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for file in sys.argv[1:]:
        results.update(json.loads(Path(file).read_text()))
    kept = {key: {name: result[name] for name in ('config', 'stages', 'error') if name in result}
            for key, result in sorted(results.items())}
    RESULTS.write_text(json.dumps(kept, indent=1) + '\n')
    PAGE.write_text(render(kept))


if __name__ == '__main__':
    main()
