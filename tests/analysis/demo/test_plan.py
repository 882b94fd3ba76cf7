import io
from pathlib import Path

import pytest
from mmengine.config import Config
from rich.console import Console

from skd_mm.analysis.config_model import build_model, config_phases
from skd_mm.analysis.demo import Size
from skd_mm.analysis.demo.plan import Plan, Run, make_plan, plan_table, run_options
from skd_mm.analysis.demo.settings import TITLES
from skd_mm.analysis.flops import TrainingCost

SIZE = Size(train=40, val=2, test=3, pixels=(32, 64))


def test_the_configs_build(repo):
    for name in TITLES:
        cfg = Config.fromfile(repo / f'configs/demo/{name}.py')
        model = build_model(cfg)
        if name == 'teacher':
            assert model.backbone.depth == 34
            continue
        phases = config_phases(cfg, model)
        assert len(phases) == dict(skd=11, few_labels=12).get(name, 1)
        assert {phase.fraction for phase in phases} == {0.1}
        assert model.student.backbone.depth == 10
        assert cfg.train_dataloader.dataset.data_root == 'work_dirs/demo/street_scenes'
        assert not any(step['type'] == 'Resize' for step in cfg.test_dataloader.dataset.pipeline)


def test_the_baselines_cost_as_much_as_the_stagewise_schedule(repo):
    plan = make_plan(repo, Path('work_dirs/demo'), SIZE)
    runs = {run.name: run for run in plan.runs}
    assert list(runs) == list(TITLES)
    for name in ('no_teacher', 'simultaneous'):
        run = runs[name]
        assert run.epochs == (run.options['schedule.phase_epochs'],) and run.epochs[0] > 60
        half_an_epoch = run.cost.truncated / run.epochs[0] / 2
        assert run.cost.truncated == pytest.approx(runs['skd'].cost.truncated, abs=half_an_epoch)
    assert runs['skd'].cost.cached < runs['skd'].cost.truncated / 3
    assert runs['skd'].phases[:2] == ('backbone.stem', 'backbone.layer1') and len(runs['skd'].phases) == 11
    assert runs['few_labels'].cost.truncated == pytest.approx(runs['skd'].cost.truncated, rel=0.1)
    assert {name: run.images for name, run in runs.items()} == dict(
        teacher=40, no_teacher=4, simultaneous=4, skd=4, few_labels=40)
    assert runs['skd'].length == '11 x 60' and runs['few_labels'].length == '12 phases'
    assert plan.networks['teacher']['parameters'] > plan.networks['student']['parameters']


def test_options_name_another_folder():
    folder = Path('/data/demo')
    roots = {f'{split}_dataloader.dataset.data_root': '/data/demo/street_scenes' for split in ('train', 'val', 'test')}
    assert run_options('no_teacher', folder, SIZE) == roots
    assert run_options('skd', folder, SIZE) == {
        **roots, 'model.teacher.checkpoint': '/data/demo/teacher/best_mIoU_*.pth'}
    assert run_options('few_labels', folder, SIZE)['unlabelled_dataloader.dataset.data_root'] == (
        '/data/demo/street_scenes/train')
    assert run_options('skd', Path('work_dirs/demo'), SIZE) == {}


def test_the_table_fits_a_terminal():
    cost = TrainingCost(98765 * 10**9, 1234 * 10**9, 7)
    run = Run('simultaneous', {}, (1234, 1234), 200, ('a', 'b'), 'student', cost)
    console = Console(file=io.StringIO(), width=80)
    console.print(plan_table(Plan([run], dict(student=dict(parameters=12345678)))))
    line = console.file.getvalue().splitlines()[3]
    assert line.split() == ['simultaneous', '12,345,678', '200', '2', 'x', '1234', '98,765', '1,234']
