import torch
from mmengine.config import Config

from skd_mm.analysis import teacher_cost as module
from skd_mm.analysis.benchmark import prepare_config
from tests.engine.optimizers.test_adversarial import LWKD, MODEL
from tests.helpers import config


def test_steps_with_and_without_a_discriminator_are_timed(tmp_path):
    plain = dict(LWKD, phases=[dict(LWKD['phases'][0], spots={'logits': 1})])
    cfgs = [prepare_config(config(tmp_path, model=MODEL, schedule=schedule), str(tmp_path))
            for schedule in (LWKD, plain)]
    times = module.iteration_times(cfgs, iters=3, warmup=1, clock='cpu')
    assert [len(values) for values in times] == [3, 3] and min(min(values) for values in times) > 0


def test_a_finished_prelude_says_what_it_took(tmp_path, monkeypatch):
    (tmp_path / 'done.json').write_text('{"seconds": 12.5, "cpu_seconds": 8, "metrics": {"accuracy/top1": 99}}')
    torch.save(torch.zeros(2**18), tmp_path / 'bank.pth')
    asked = []

    def found(cfg, dry):
        asked.append(dry)
        cfg.model.teacher.checkpoint = str(tmp_path / 'bank.pth')
        return cfg

    monkeypatch.setattr(module, 'run_prelude', found)
    monkeypatch.setattr(module, 'read_config', lambda path: Config(dict(train_cfg=dict(max_epochs=20))))
    cfg = Config(dict(prelude=dict(cfg='x'), model=dict(teacher=dict(type='skd_mm.TargetBank'))))
    cost = module.teacher_cost(cfg, str(tmp_path))
    assert cost['teacher_seconds'] == cost['whole_seconds'] == 12.5 and 1 <= cost['bank_mib'] < 1.1
    assert (cost['length'], cost['whole'], cost['metrics']) == (20, 20, {'accuracy/top1': 99})
    cfg.prelude.options = {'train_cfg.max_epochs': 5}
    cost = module.teacher_cost(cfg, str(tmp_path), clock='cpu', train=True)
    assert (cost['length'], cost['teacher_seconds'], cost['whole_seconds']) == (5, 8, 32)
    assert asked == [True, False]
    assert set(module.teacher_cost(Config(dict(model=dict())), str(tmp_path)).values()) == {None}


def test_what_was_not_run_is_marked():
    none = dict.fromkeys(('length', 'whole', 'metrics', 'teacher_seconds', 'whole_seconds', 'bank_mib'))
    short = dict(length=5, whole=20, metrics={'top1': 40.0}, teacher_seconds=8.0, whole_seconds=32.0, bank_mib=None)
    rows = [dict(none, config='a', milliseconds=1.0), dict(short, config='b', milliseconds=2.0),
            dict(short, config='c', length=20, bank_mib=3.8, milliseconds=3.0)]
    cells = [line.split() for line in module.format_table(rows).splitlines()[2:]]
    assert cells == [['a', '-', '-', '-', '-', '-', '1.0'], ['b', '5/20', '40.0', '8.0', '~32.0', '-', '2.0'],
                     ['c', '20/20', '40.0', '8.0', '32.0', '3.8', '3.0']]
