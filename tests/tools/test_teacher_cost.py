import importlib.util

import torch
from mmengine.config import Config

from skd_mm.analysis.benchmark import quiet
from tests.engine.test_adversarial import LWKD, MODEL
from tests.helpers import config


def tool(repo):
    spec = importlib.util.spec_from_file_location('teacher_cost', repo / 'tools/analysis_tools/teacher_cost.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_steps_with_and_without_a_discriminator_are_timed(repo, tmp_path):
    plain = dict(LWKD, phases=[dict(LWKD['phases'][0], spots={'logits': 1})])
    cfgs = [quiet(config(tmp_path, model=MODEL, schedule=schedule), str(tmp_path)) for schedule in (LWKD, plain)]
    times = tool(repo).iteration_times(cfgs, iters=3, warmup=1, clock='cpu')
    assert [len(values) for values in times] == [3, 3] and min(min(values) for values in times) > 0


def test_a_finished_prelude_says_what_it_took(repo, tmp_path, monkeypatch):
    module = tool(repo)
    (tmp_path / 'done.json').write_text('{"seconds": 12.5}')
    torch.save(torch.zeros(2**18), tmp_path / 'bank.pth')

    def found(cfg, dry):
        cfg.model.teacher.checkpoint = str(tmp_path / 'bank.pth')
        return cfg

    monkeypatch.setattr(module, 'run_prelude', found)
    cfg = Config(dict(prelude=dict(cfg='x'), model=dict(teacher=dict(type='skd_mm.TargetBank'))))
    cost = module.teacher_cost(cfg, str(tmp_path))
    assert cost['teacher_seconds'] == 12.5 and 1 <= cost['bank_mib'] < 1.1
    assert module.teacher_cost(Config(dict(model=dict())), str(tmp_path)) == dict(teacher_seconds=None, bank_mib=None)
