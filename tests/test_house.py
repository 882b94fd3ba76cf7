"""The rules of the house: short files, one direction of imports, and nothing that imports itself in a circle."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINES = 400

BASE = {'utils', 'registry', 'checkpoint', 'version', 'compat', ''}
"""What every room may import: helpers, registries, and the package itself (for its folder)."""

ARROWS = {
    'utils': set(),
    'registry': {'utils'},
    'checkpoint': {'utils'},
    'compat': {'utils', 'checkpoint'},
    'version': set(),
    '': BASE,
    'synthetic': {'utils'},
    'tasks': BASE,
    'losses': BASE,
    'schedules': BASE,
    'features': BASE | {'tasks'},
    'evaluation': BASE,
    'connectors': BASE,
    'datasets': BASE | {'synthetic'},
    'memories': BASE | {'losses'},
    'models': BASE | {'losses', 'tasks'},
    'routing': BASE | {'losses', 'connectors'},
    'distillers': BASE | {'features', 'losses', 'connectors', 'routing', 'tasks'},
    'deploy': BASE | {'datasets', 'distillers', 'features', 'tasks'},
    'engine': BASE | {'distillers', 'features', 'schedules', 'datasets', 'evaluation', 'models', 'tasks'},
    'config': BASE | {'distillers', 'engine', 'losses', 'schedules', 'tasks'},
    'analysis': BASE | {'config', 'datasets', 'deploy', 'distillers', 'engine', 'evaluation', 'features', 'losses',
                        'schedules', 'synthetic', 'tasks'},
}
"""The rooms of the package, and those that each may import from."""

EXCEPTIONS = {
    # The picture of a router's keep rates is drawn during a run by a hook, and from its log by a tool.
    ('engine', 'skd_mm.analysis.keep_rates'), ('engine', 'skd_mm.analysis.logs'),
}


def modules():
    found = {}
    for file in sorted((ROOT / 'skd_mm').rglob('*.py')):
        if '.mim' not in file.parts:
            name = '.'.join(file.relative_to(ROOT).with_suffix('').parts)
            found[name.removesuffix('.__init__')] = file
    return found


def imported(module, file, known, nested=True):
    """The modules of the package that a module imports; ``nested`` includes imports inside functions."""
    package = module if file.name == '__init__.py' else module.rpartition('.')[0]
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree) if nested else tree.body:
        if isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                parts = package.split('.')[:len(package.split('.')) - node.level + 1]
                base = '.'.join([*parts, *filter(None, [base])])
            if base.split('.')[0] == 'skd_mm':
                for alias in node.names:
                    name = f'{base}.{alias.name}'
                    yield name if name in known else base
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split('.')[0] == 'skd_mm')


def room(module):
    return (*module.split('.'), '')[1]


@pytest.mark.parametrize('folder', ['skd_mm', 'tools'])
def test_files_are_short_enough_to_be_read_whole(folder):
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines())
               for file in (ROOT / folder).rglob('*.py') if '.mim' not in file.parts}
    assert lengths and {name: count for name, count in lengths.items() if count > LINES} == {}


def test_every_room_is_known():
    rooms = {path.name for path in (ROOT / 'skd_mm').iterdir() if path.is_dir() and (path / '__init__.py').exists()}
    assert rooms <= ARROWS.keys(), 'a new room needs a line in ARROWS'


def test_imports_point_one_way():
    known = modules()
    wrong = sorted({(module, target) for module, file in known.items() for target in imported(module, file, known)
                    if room(target) != room(module) and room(target) not in ARROWS[room(module)]
                    and (room(module), target) not in EXCEPTIONS})
    assert wrong == []


def test_no_module_imports_itself_in_a_circle():
    known = modules()
    edges = defaultdict(set)
    for module, file in known.items():
        edges[module] = {target for target in imported(module, file, known, nested=False) if target in known}
    state = {}

    def visit(module, path):
        state[module] = 'open'
        for target in edges[module]:
            if state.get(target) == 'open':
                pytest.fail(' -> '.join([*path[path.index(target):], target]) if target in path else target)
            if target not in state:
                visit(target, [*path, target])
        state[module] = 'done'

    for module in known:
        if module not in state:
            visit(module, [module])
