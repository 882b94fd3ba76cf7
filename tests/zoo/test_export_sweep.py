"""A few of the students of the sweep; the command exports all of them."""

import pytest

pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

from tests.zoo.export_sweep import STUDENTS, sweep


@pytest.mark.slow
@pytest.mark.parametrize('name, dynamic', [('MobileNetV3-S', 'fixed'), ('DeepLabV3 R18', 'batch')])
def test_a_student_of_a_zoo_is_exported(name, dynamic, capsys):
    row, = sweep([name], dynamic)
    assert row['dynamic'] == dynamic and row['difference'] < 1e-4 and row['notes'] == []
    assert row['config'] == STUDENTS[name][0] and row['name'] in capsys.readouterr().out
