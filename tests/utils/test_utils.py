import json
import os
import pickle
import random

import numpy as np
import pytest
import torch

from skd_mm.utils import (
    atomic_replace,
    derive_seed,
    described,
    did_you_mean,
    from_main_process,
    launched_local_rank,
    launched_rank,
    seed_everything,
    write_json,
)


@pytest.mark.parametrize(('name', 'choices', 'end'), [
    ('layer1', ['layer1', 'x'], "; did you mean 'layer1'?"),
    ('layer', ['layer1', 'layer2'], "; did you mean 'layer2' or 'layer1'?"),
    ('layer', ['layer1', 'layer2', 'layer3'], "; did you mean 'layer3', 'layer2' or 'layer1'?"),
    ('qqq', ['layer1', 'layer2'], ''),
    ('x', [], ''),
])
def test_did_you_mean_names_the_closest_in_a_sentence(name, choices, end):
    assert did_you_mean(name, choices) == end


def test_did_you_mean_takes_any_iterable_and_no_more_than_asked_for():
    assert did_you_mean('layer', (f'layer{i}' for i in range(5)), count=1).count("'") == 2


def test_what_is_described_has_its_type_and_its_short_settings():
    cfg = dict(type='A', x=[], _scope_='mmseg', long='x' * 100)
    assert described(cfg) == 'A(x=[])'
    assert described([cfg, dict(type='B')]) == 'A(x=[]), B()'


def test_a_seed_depends_on_every_part_and_on_their_order():
    different = [(0, 1, 2), (0, 2, 1), (1, 1, 2), (0, 1, 3), (0, 1), (0, 12), ('a', 1, 2)]
    seeds = {derive_seed(*parts) for parts in different}
    assert len(seeds) == 7
    assert derive_seed(0, 1, 2) == derive_seed(0, 1, 2)
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_a_seed_is_the_same_in_every_process_and_version():
    # A resumed run may have another Python: not hash(), which is salted.
    assert derive_seed(0, 'step', 3) == 2466268737


def test_seeds_of_neighbours_are_not_related():
    draws = [np.random.RandomState(derive_seed(0, 0, 0, position)).rand() for position in range(200)]
    assert 0.4 < np.mean(draws) < 0.6
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.2


def test_all_generators_are_seeded():

    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item(), torch.nn.functional.dropout(torch.ones(9)).sum()

    seed_everything(2**32 - 1)
    first = draw()
    seed_everything(5)
    assert all(a != b for a, b in zip(draw()[:3], first[:3], strict=True))
    seed_everything(2**32 - 1)
    assert draw() == first


def test_replacing_syncs_the_content_before_and_the_folder_behind(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr('os.fsync', lambda handle: (events.append('sync'), fsync(handle)))
    monkeypatch.setattr('os.replace', lambda one, other: (events.append('rename'), replace(one, other)))
    (tmp_path / 'new').write_text('new')
    (tmp_path / 'file').write_text('old')
    atomic_replace(tmp_path / 'new', tmp_path / 'file')
    assert events == ['sync', 'rename', 'sync']
    assert (tmp_path / 'file').read_text() == 'new' and not (tmp_path / 'new').exists()


def test_numbers_are_written_into_a_new_folder(tmp_path):
    write_json(tmp_path / 'a/b.json', dict(ms=[1.5, None]))
    assert json.loads((tmp_path / 'a/b.json').read_text()) == dict(ms=[1.5, None])


class Unpicklable(Exception):

    def __reduce__(self):
        raise TypeError


@pytest.mark.parametrize(('error', 'expected'), [
    (None, {'a': 1}), (OSError(2, 'no such file'), (FileNotFoundError, '[Errno 2] no such file')),
    (Unpicklable('lost'), (RuntimeError, 'Unpicklable: lost'))])
def test_all_processes_get_the_result_or_the_error_of_the_first(monkeypatch, error, expected):

    def function():
        if error is not None:
            raise error
        return {'a': 1}

    sent = []
    monkeypatch.setattr('skd_mm.utils.processes.broadcast_object_list', lambda values: sent.append(list(values)))
    results = []
    for rank in range(2):
        if rank:
            monkeypatch.setattr('skd_mm.utils.processes.is_main_process', lambda: False)
            monkeypatch.setattr('skd_mm.utils.processes.broadcast_object_list',
                                lambda values: values.__setitem__(slice(None), sent[0]))
        try:
            results.append(from_main_process(function if not rank else lambda: pytest.fail('not on this process')))
        except Exception as raised:
            results.append((type(raised), str(raised)))
    assert results == [expected] * 2
    pickle.dumps(sent)


@pytest.mark.parametrize(('launcher', 'rank', 'local_rank'), [
    ('none', 0, 0), ('pytorch', 5, 1), ('slurm', 6, 2), ('mpi', 7, 3)])
def test_a_process_knows_its_rank_before_there_is_a_group(monkeypatch, launcher, rank, local_rank):
    for name, value in dict(RANK=5, LOCAL_RANK=1, SLURM_PROCID=6, SLURM_LOCALID=2, OMPI_COMM_WORLD_RANK=7,
                            OMPI_COMM_WORLD_LOCAL_RANK=3).items():
        monkeypatch.setenv(name, str(value))
    assert (launched_rank(launcher), launched_local_rank(launcher)) == (rank, local_rank)
    for name in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
        monkeypatch.delenv(name)
    assert launched_rank(launcher) == 0
