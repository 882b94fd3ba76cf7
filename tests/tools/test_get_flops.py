"""The numbers of get_flops.py, on the terminal and in its file."""

import json

import pytest

from skd_mm.synthetic import make_street_scenes

NETWORK = "dict(type='EncoderDecoder', _scope_='mmseg', data_preprocessor=dict(type='SegDataPreProcessor'), " \
    "backbone=dict(type='skd_mm.ResNet', depth={depth}, width=0.125), " \
    "decode_head=dict(type='skd_mm.UNetHead', width=0.125, num_classes=11))"
COMMON = """
default_scope = 'mmseg'
train_dataloader = dict(batch_size=4, dataset=dict(type='skd_mm.CamVidDataset', data_root={root!r}, pipeline=[
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 32))]))
"""


@pytest.fixture
def configs(tmp_path):
    """A distillation, a baseline and a plain network; the teacher has no checkpoint, the data is made by the test."""
    common = COMMON.format(root=str(tmp_path / 'data'))
    student = NETWORK.format(depth=10)
    (tmp_path / 'plain.py').write_text(f'{common}model = {student}\n')
    (tmp_path / 'skd.py').write_text(
        f"{common}model = dict(type='skd_mm.Distiller', student={student}, "
        f"teacher=dict({NETWORK.format(depth=14)}, checkpoint='nowhere.pth'), "
        "spots=['backbone.layer1', 'backbone.layer4'])\n"
        "schedule = dict(type='Stagewise', phase_epochs=7, fraction=0.5)\n")
    (tmp_path / 'alone.py').write_text(f"{common}model = dict(type='skd_mm.Distiller', student={student})\n"
                                       "schedule = dict(type='NoTeacher', phase_epochs=1, fraction=0.5)\n")
    (tmp_path / 'grows.py').write_text(
        "_base_ = 'skd.py'\nschedule = dict(overrides={'task_head': dict(fraction=1.)})\n")
    return tmp_path


@pytest.fixture
def get_flops(run_tool, capsys, tmp_path):
    def call(*args):
        try:
            run_tool('analysis_tools/get_flops.py', *args, '--json', tmp_path / 'new' / 'flops.json')
        except SystemExit as end:
            return str(end.code) + capsys.readouterr().err, None
        return capsys.readouterr().out, json.loads((tmp_path / 'new' / 'flops.json').read_text())

    return call


def test_a_schedule_phase_by_phase(get_flops, configs):
    said, numbers = get_flops(configs / 'skd.py')
    assert numbers['shape'] == [3, 32, 64]
    assert list(numbers['networks']) == ['teacher', 'student']
    assert numbers['networks']['teacher']['macs'] > numbers['networks']['student']['macs'] > 0
    assert [phase['name'] for phase in numbers['phases']] == ['backbone.layer1', 'backbone.layer4', 'task_head']
    assert all(phase['truncated'] > phase['cached'] > 0 for phase in numbers['phases'][1:])
    assert [(phase['epochs'], phase['fraction']) for phase in numbers['phases']] == [(7, 0.5)] * 3
    assert 'schedule' not in numbers and '--images' in said
    for phase in numbers['phases']:
        assert f'{phase["trainable"]:,}' in said and f'{phase["truncated"] / 1e9:.3f}' in said
    assert f'{numbers["networks"]["student"]["parameters"]:,}' in said


def test_the_total_is_that_of_the_given_images_or_of_the_data_set(get_flops, configs):
    given = get_flops(configs / 'skd.py', '--images', 19, '--cfg-options', 'schedule.phase_epochs=5')[1]
    per_image = sum(phase['truncated'] for phase in given['phases'])
    # Half of 19 images are two batches of four.
    assert given['schedule']['iterations'] == 3 * 5 * 2
    assert given['schedule']['truncated'] == 5 * 2 * 4 * per_image
    make_street_scenes(configs / 'data', 26, 0, 0, (32, 64))
    found = get_flops(configs / 'skd.py')[1]
    assert found['schedule']['images'] == 26 and found['schedule']['iterations'] == 3 * 7 * 3


def test_epochs_of_a_baseline_that_costs_as_much(get_flops, configs):
    said, numbers = get_flops(configs / 'skd.py', '--images', 19, '--match', configs / 'alone.py')
    other = numbers['match']
    assert other['images'] == 9
    epochs = numbers['schedule']['truncated'] / (other['per_image'] * 8)
    assert other['epochs'] == round(epochs) > 7
    assert f'{other["epochs"]} epochs of 9 images' in said


def test_a_baseline_of_several_phases_counts_them_all(get_flops, configs):
    said, numbers = get_flops(configs / 'skd.py', '--images', 19, '--match', configs / 'skd.py')
    other = numbers['match']
    assert (other['phases'], other['epochs']) == (3, 7) and '7 epochs of 9 images in each of its phases' in said
    assert other['per_image'] == sum(phase['truncated'] for phase in numbers['phases'])


def test_a_plain_config(get_flops, configs):
    said, numbers = get_flops(configs / 'plain.py')
    assert list(numbers['networks']) == ['model'] and 'phases' not in numbers
    half = numbers['networks']['model']['macs']
    assert get_flops(configs / 'plain.py', '--shape', 64, 64)[1]['networks']['model']['macs'] == 2 * half
    assert get_flops(configs / 'plain.py', '--shape', 64)[1]['shape'] == [3, 64, 64]
    assert f'{half / 1e9:.3f}' in said
    size, operations = (numbers['networks']['model'][key] for key in ('bytes', 'bit_operations'))
    assert operations == half * 32 * 32 and f'{size / 1e6:.3f}' in said and f'{operations / 1e9:,.1f}' in said


@pytest.mark.parametrize('args, message', [
    (['skdd.py'], "did you mean 'skd.py'"),
    (['skd.py', '--match', 'alone.py'], 'give --images'),
    (['skd.py', '--images', '20', '--match', 'plain.py'], 'plain.py has no schedule'),
    (['skd.py', '--images', '20', '--match', 'grows.py'], 'grows.py see the fractions [0.5, 1.0]'),
    (['plain.py', '--match', 'alone.py'], 'the config has none'),
    (['skd.py', '--images', '3'], 'fewer than one batch of 4'),
    (['skd.py', '--shape', '1', '2', '3'], '--shape'),
    (['skd.py', '--images', '0'], '--images')])
def test_errors_are_clear(get_flops, configs, monkeypatch, args, message):
    monkeypatch.chdir(configs)
    assert message in get_flops(*args)[0]
