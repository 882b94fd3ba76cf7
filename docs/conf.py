"""Settings of Sphinx: ``sphinx-build -W docs docs/_build/html`` with the packages in requirements/docs.txt."""

import os
import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))

import skd_mm  # noqa: E402  (before anything imports mmseg or torchvision)
from skd_mm.analysis.components import components_page  # noqa: E402

project = 'skd_mm'
author = copyright = 'The skd_mm contributors'
release = version = skd_mm.__version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx_copybutton']
if os.environ.get('READTHEDOCS'):  # takes as long as everything else
    extensions.append('sphinx.ext.viewcode')
exclude_patterns = ['_build']
myst_heading_anchors = 3
napoleon_google_docstring = True
napoleon_use_ivar = True
autodoc_typehints = 'none'
autodoc_member_order = 'bysource'
html_theme = 'furo'
html_title = f'skd_mm {release}'
copybutton_prompt_text = r'>>> |\.\.\. |\$ '
copybutton_prompt_is_regexp = True

LINK = re.compile(r'\[([^\]]*)\]\(([^)\s]+)\)')


def site_links(text: str, file: Path, page: Path) -> str:
    """Return a page with links that work on the site.

    Folders and READMEs of `configs` are pages of the site; other files of the repository are named without a link.

    Args:
        text: The page in Markdown.
        file: The file that the links are relative to.
        page: The page's own file below `docs`.

    Returns:
        The page.
    """
    def replace(found: re.Match) -> str:
        label, target = found.groups()
        path, _, anchor = target.partition('#')
        if '://' in target or not path:
            return found[0]
        where = (file.parent / path).resolve()
        if where.is_relative_to(ROOT / 'configs'):
            folder = where.parent if where.name == 'README.md' else where
            if (folder / 'README.md').is_file() and folder.parent == ROOT / 'configs':
                where = DOCS / 'configs' / f'{folder.name}.md'
        if where.is_relative_to(DOCS):
            relative = os.path.relpath(where, page.parent)
            return f'[{label}]({relative}{"#" + anchor if anchor else ""})'
        named = where.relative_to(ROOT).as_posix() if where.is_relative_to(ROOT) else path
        return f'`{named}`' if label in ('config', named) else f'{label} (`{named}`)'

    return LINK.sub(replace, text)


def write_pages() -> None:
    """Write the pages that are made from the registries and from the READMEs of the configs."""
    (DOCS / 'api' / 'components.md').write_text(components_page())
    (DOCS / 'configs').mkdir(exist_ok=True)
    for readme in sorted((ROOT / 'configs').glob('*/README.md')):
        page = DOCS / 'configs' / f'{readme.parent.name}.md'
        page.write_text(site_links(readme.read_text(), readme, page))


write_pages()


def setup(app: Any) -> None:
    """Rewrite links to files of the repository while pages are read."""
    def rewrite(app: Any, name: str, source: list[str]) -> None:
        page = DOCS / f'{name}.md'
        if not name.startswith(('api/', 'configs/')):
            source[0] = site_links(source[0], page, page)

    app.connect('source-read', rewrite)
