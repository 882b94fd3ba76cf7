"""Labelled and unlabelled training data of the phases of a run."""

import json
from pathlib import Path

import cv2
import numpy as np
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from skd_mm.utils import INDEX, UNLABELLED
from tests.helpers import SIDE, SPOTS, config, train
from tests.integration.unlabelled_runs import partly_labelled

SEEN: list[tuple[str, list[bool], list[int]]] = []


@HOOKS.register_module(force=True)
class SeenHook(Hook):
    """Notes which samples of each batch are labelled, and their numbers."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        infos = [sample.metainfo for sample in data_batch['data_samples']]
        SEEN.append((runner.train_loop.phase.name, [not info.get(UNLABELLED) for info in infos],
                     [info[INDEX] for info in infos]))


def seen(cfg):
    """Each phase's batches, as the samples that are labelled and their numbers."""
    SEEN.clear()
    cfg.custom_hooks = [dict(type='mmengine.SeenHook')]
    train(cfg)
    found = {}
    for name, labelled, numbers in SEEN:
        found.setdefault(name, []).append((labelled, numbers))
    return found


def test_every_phase_gets_its_data(tmp_path):
    found = seen(config(tmp_path, **partly_labelled()))
    assert {name: len(batches) for name, batches in found.items()} == dict(features=4, head=4, both=8, all=6)
    for name, expected in (('features', [False] * 4), ('head', [True] * 4), ('both', [False, True] * 2),
                           ('all', [False] * 4)):
        assert all(labelled == expected for labelled, _ in found[name])
    numbers = {name: {number for _, batch in batches for number in batch} for name, batches in found.items()}
    names = {name: [line.split('/')[-1] for line in (tmp_path / f'{name}_seed_0.txt').read_text().splitlines()[1:]]
             for name in ('fraction_0.75', 'unlabelled_fraction_0.666667')}
    # The labelled samples are the first twelve.
    assert numbers['head'] <= {int(name[:3]) for name in names['fraction_0.75']}
    assert numbers['features'] == {int(name[:3]) - 100 + 12 for name in names['unlabelled_fraction_0.666667']}
    assert numbers['all'] == set(range(12, 24))
    labelled = {number for number in numbers['both'] if number < 12}
    assert len(labelled) >= 8 and len(numbers['both'] - labelled) == 8


def test_a_folder_of_images_is_enough(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(6):
        path = tmp_path / f'images/{i % 2}/{i}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (20 + i, 30, 3), dtype=np.uint8))
    pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(SIDE, SIDE)), dict(type='PackSegInputs')]
    cfg = config(tmp_path / 'run', schedule=dict(type='Stagewise', phase_epochs=1, cache=1), unlabelled_dataloader=dict(
        dataset=dict(type='skd_mm.UnlabelledDataset', data_root=str(tmp_path / 'images'), pipeline=pipeline)))
    found = seen(cfg)
    assert {name: len(batches) for name, batches in found.items()} == {**dict.fromkeys(SPOTS, 1), 'task_head': 3}
    assert found[SPOTS[0]][0][0] == [False] * 4 and found['task_head'][0][0] == [True] * 4
    lines = [json.loads(line) for path in Path(tmp_path / 'run').glob('*/vis_data/scalars.json')
             for line in path.read_text().splitlines()]
    assert any(line.get('phase') == SPOTS[0] and 'spot_loss' in line for line in lines)
