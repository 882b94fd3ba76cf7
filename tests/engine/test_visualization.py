"""What the backends of trackers get."""

import copy

from mmengine.registry import VISBACKENDS
from mmengine.visualization import BaseVisBackend

from skd_mm.engine.visualization import ScalarBackend
from tests.helpers import SPOTS, config, log_lines, train

SCALARS = []


@VISBACKENDS.register_module(force=True)
class StrictBackend(BaseVisBackend):
    """Takes numbers only, as MLflow does."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.other = 'its own'

    experiment = None

    def _init_env(self):
        pass

    def add_scalars(self, scalar_dict, step=0, file_path=None, **kwargs):
        assert all(isinstance(value, int | float) for value in scalar_dict.values())
        SCALARS.append((step, scalar_dict))


def test_a_tracker_gets_the_number_of_the_phase_and_the_json_log_its_name(tmp_path):
    SCALARS.clear()
    train(config(tmp_path, visualizer=dict(type='Visualizer', vis_backends=[
        dict(type='LocalVisBackend'), dict(type='mmengine.StrictBackend')])))
    stages = [*SPOTS, 'task_head']
    training = [(step, scalars['phase']) for step, scalars in SCALARS if 'loss' in scalars]
    assert training == [(i + 1, i // 6 + 1) for i in range(24)]
    assert all(scalars['phase'] in range(1, 5) for _, scalars in SCALARS)
    assert {line['phase'] for line in log_lines(tmp_path)} == set(stages)


def test_all_else_is_the_backends_own(tmp_path):
    backend = ScalarBackend(StrictBackend(save_dir=str(tmp_path)), {'a': 1})
    assert backend.other == 'its own' and copy.deepcopy(backend).other == 'its own'
    SCALARS.clear()
    backend.add_scalars(dict(phase='b', note='text', loss=0.5), 3)
    assert len(SCALARS) == 1 and SCALARS[0] == (3, dict(loss=0.5))
