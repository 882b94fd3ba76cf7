"""The study files in the repository are valid, and the pages have the tables of their JSON files."""

import json
from pathlib import Path

import pytest

from skd_mm.analysis.studies import configs, read_study
from skd_mm.analysis.studies.pages import update
from skd_mm.analysis.studies.tables import render
from skd_mm.config import check_config

ROOT = Path(__file__).resolve().parents[1]
STUDIES = sorted((ROOT / 'configs/studies').glob('*.py'))
RESULTS = sorted((ROOT / 'configs/studies').glob('*.json'))
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md')), *sorted((ROOT / 'configs').glob('*/README.md'))]


@pytest.mark.parametrize('path', STUDIES, ids=lambda path: path.stem)
def test_every_config_of_a_study_takes_its_options(path):
    study = read_study(path)
    teachers = {teacher.cfg for teacher in study.teachers}
    seen = set()
    for method in study.methods:
        if (method.cfg, *method.options) in seen:
            continue  # only values differ
        seen.add((method.cfg, *method.options))
        cfg = configs.method_config(study, method, study.fractions[0])
        assert not check_config(cfg), method.name
        teacher = cfg.model.get('teacher') or {}
        # A teacher with weights is trained by the study or by a prelude.
        assert not teacher.get('checkpoint') or cfg.get('prelude') or teacher.cfg in teachers, method.name
    for teacher in study.teachers:
        assert not check_config(configs.teacher_config(study, teacher)), teacher.name


@pytest.mark.parametrize('path', RESULTS, ids=lambda path: path.stem)
def test_results_are_those_of_a_study_file_and_name_no_path_of_a_machine(path):
    study = json.loads(path.read_text())
    assert path.with_suffix('.py').is_file() and study['study']['name'] == path.stem
    assert render(study)
    assert not [part for part in path.read_text().split('"') if part.startswith(('/home', '/root', '/tmp', '/work'))]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_tables_of_a_page_agree_with_the_json_files(page):
    text = page.read_text()
    assert update(text, ROOT) == text, f'run: python tools/analysis_tools/study_tables.py {page.relative_to(ROOT)}'
