import pytest

from skd_mm.analysis.components import GROUPS, arguments, components, components_page, summary
from skd_mm.registry import CONNECTORS, LOSSES, METRICS, RECIPES, SCOPE


@pytest.mark.parametrize('registry', [LOSSES, CONNECTORS, RECIPES, METRICS], ids=lambda registry: registry.name)
def test_the_page_lists_everything_that_is_registered(registry):
    page = components_page()
    names = [name for name, kind in registry.module_dict.items() if kind.__module__.startswith(f'{SCOPE}.')]
    assert len(names) >= 6
    assert [name for name in names if f'\n| `{name}` | ' not in page] == []


def test_every_component_is_described():
    found = [kind for group in GROUPS for kind in components(group).values()]
    assert len(found) > 60
    assert [kind.__name__ for kind in found if not summary(kind)] == []


def test_arguments_are_those_of_a_config():
    assert arguments(LOSSES.get('KDLoss'))[0].startswith('temperature=')
    assert 'kwargs' not in ' '.join(arguments(METRICS.get('BoundaryMetric')))
    assert components('losses')['MSELoss'] is LOSSES.get('MSELoss')


def test_the_tool(repo, monkeypatch, capsys, tmp_path):
    import importlib.util
    import sys
    spec = importlib.util.spec_from_file_location('list_components', repo / 'tools/misc/list_components.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(sys, 'argv', ['list_components', 'recipes'])
    tool.main()
    printed = capsys.readouterr().out
    assert 'Stagewise ' in printed and 'KDLoss' not in printed
    monkeypatch.setattr(sys, 'argv', ['list_components', 'loses'])
    with pytest.raises(SystemExit, match="no group 'loses'; did you mean 'losses'"):
        tool.main()
