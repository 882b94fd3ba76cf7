"""Pages whose tables are generated from the ``study.json`` files in the repository.

A page marks the place of a table with two comments; what is between them is generated::

    <!-- study configs/studies/camvid_skd.json: summary notes -->
    <!-- end study -->
"""

import json
import re
from pathlib import Path

from skd_mm.utils import did_you_mean

from .study import StudyError
from .tables import PARTS, render

# What is between the two comments has no line that begins another place.
_PLACE = re.compile(r'^(?P<begin><!-- study (?P<path>[^\s:]+):(?P<parts>[^\n]*?)-->\n)(?:(?!<!-- study )[^\n]*\n)*?'
                    r'(?P<end><!-- end study -->)$', re.MULTILINE)
_BEGIN = re.compile(r'^<!-- study ', re.MULTILINE)


def update(text: str, root: Path) -> str:
    """Return a page with the tables of its places generated.

    Args:
        text: The page.
        root: The folder that paths of JSON files start from, the root of the repository.

    Returns:
        The page.

    Raises:
        StudyError: A place has no end, names a file that does not exist, or asks for an unknown part.
    """
    code = [(found.start(), found.end()) for found in re.finditer(r'^```.*?^```$', text, re.DOTALL | re.MULTILINE)]

    def inside_code(position: int) -> bool:
        return any(start <= position < end for start, end in code)

    def replace(found: re.Match) -> str:
        if inside_code(found.start()):
            return found[0]
        return f'{found["begin"]}\n{_render(found["path"], found["parts"].split(), root)}\n\n{found["end"]}'

    begins = sum(not inside_code(found.start()) for found in _BEGIN.finditer(text))
    places = [found for found in _PLACE.finditer(text) if not inside_code(found.start())]
    if begins != len(places):
        raise StudyError(f'{begins} places begin with "<!-- study PATH: PARTS -->" and {len(places)} of them end with '
                         '"<!-- end study -->"')
    return _PLACE.sub(replace, text)


def _render(path: str, parts: list[str], root: Path) -> str:
    file = root / path
    if not file.is_file():
        names = [other.name for other in file.parent.glob('*.json')] if file.parent.is_dir() else []
        raise StudyError(f'there is no file {path!r}{did_you_mean(file.name, names)}')
    for part in parts:
        if part not in PARTS:
            raise StudyError(f'{path}: there is no part {part!r}{did_you_mean(part, PARTS)} (there are {list(PARTS)})')
    return render(json.loads(file.read_text()), parts or list(PARTS))
