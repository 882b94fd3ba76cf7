"""The files, options and configs in the README and the pages of docs/ exist."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from skd_mm.registry import MODELS, RECIPES, build

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / 'README.md', *(page for page in sorted((ROOT / 'docs').rglob('*.md'))
                               if page.parent.name not in ('_build', 'configs'))]
BLOCK = re.compile(r'```(\w+)\n(.*?)```', re.DOTALL)
OPTION = re.compile(r'(?<![\w-])--[a-z][a-z-]+')


def blocks(page, language):
    return [text for found, text in BLOCK.findall(page.read_text()) if found == language]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_files_and_links_exist(page):
    text = page.read_text()
    named = [name for name in re.findall(r'(?<![\w/.-])(?:tools|configs|docs|requirements|skd_mm)/[\w./-]+', text)
             if not name.endswith(('.', '/', '-'))]
    missing = [name for name in named if not (ROOT / name).exists() and not re.search(r'[A-Z…]', name)]
    links = [link.partition('#')[0] for link in re.findall(r'\]\(([^)\s]+)\)', text) if '://' not in link]
    missing += [link for link in links if link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_options_exist(page):
    unknown = []
    for command in re.findall(r'tools/\S+\.py[^\n`]*', page.read_text().replace('\\\n', ' ')):
        tool = ROOT / command.split()[0].rstrip('`')
        if tool.is_file():
            unknown += [f'{tool.name} {option}' for option in OPTION.findall(command) if option not in tool.read_text()]
    assert not unknown


def test_the_results_of_the_readme_are_those_of_the_results_page():
    first_screen = (ROOT / 'README.md').read_text().partition('```bash')[0]
    rows = [row for row in first_screen.splitlines() if row.startswith('|')][2:]
    results = (ROOT / 'docs' / 'results.md').read_text()
    assert len(rows) >= 4
    missing = [number for row in rows for number in re.findall(r'\d+\.\d+', row) if number not in results]
    assert not missing, 'the README shows results that docs/results.md does not have (any more)'


def configs(*names):
    return [pytest.param(text, id=f'{name}-{i}') for name in names
            for i, text in enumerate(blocks(ROOT / name, 'python')) if 'model = ' in text and 'mmrazor' not in text]


@pytest.mark.slow
@pytest.mark.parametrize('text', configs('README.md', 'docs/from_mmrazor.md', 'docs/from_torchdistill.md',
                                         'docs/detection.md', 'docs/your_own_config.md'))
def test_configs_build_and_every_phase_finds_its_modules(text, tmp_path):
    if 'mmdet::' in text:
        pytest.importorskip('mmdet', reason='mmdetection is not installed')
    # The README's paths are relative to configs/skd/camvid.
    file = tmp_path / 'config.py'
    file.write_text(text.replace("'../../_base_", f"'{ROOT}/configs/_base_"))
    cfg = Config.fromfile(file)
    init_default_scope(cfg.default_scope)
    for role in ('teacher', 'student'):
        cfg.model[role].update(checkpoint=None)
    model = MODELS.build(cfg.model)
    for phase in build(RECIPES, cfg.schedule).phases(model.stage_names()):
        model.activate(phase.train, phase.spots, phase.task, phase.frozen_bn)
        assert model.trainable()


@pytest.mark.parametrize('text', blocks(ROOT / 'docs' / 'schedules.md', 'python'))
def test_schedules_make_phases(text):
    namespace = {}
    exec(text, namespace)
    stages = ['backbone.stem', 'backbone.layer2', 'backbone.layer4', 'decode_head.blocks.4', 'task_head']
    assert build(RECIPES, namespace['schedule']).phases(stages)
