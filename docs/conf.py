"""Settings of Sphinx: ``sphinx-build docs docs/_build/html`` with what requirements/docs.txt names."""

from pathlib import Path

scope: dict[str, str] = {}
exec((Path(__file__).parents[1] / 'skd_mm' / 'version.py').read_text(), scope)

project = 'skd_mm'
author = 'The skd_mm contributors'
release = version = scope['__version__']
extensions = ['myst_parser', 'sphinx_copybutton']
myst_heading_anchors = 3
exclude_patterns = ['_build']
