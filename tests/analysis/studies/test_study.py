import pytest

from skd_mm.analysis.studies import StudyError, read_study


def test_a_study_has_its_values_and_defaults(toy):
    study = toy.read(fractions=(0.5, 1.0), equal_compute='SKD', options={'schedule.cache': 1})
    assert [method.name for method in study.methods] == ['none', 'SKD']
    assert (study.name, study.title, study.baseline, study.split) == ('toy', 'toy', 'none', 'test')
    assert (study.seeds, study.fractions, study.fraction_seed) == ((0, 1), (0.5, 1.0), None)
    assert (study.reference, study.matched) == ('SKD', ('none', ))
    assert study.options == {'schedule.cache': 1}
    assert study.teachers[0].seed == 0 and study.method('SKD').slug == 'skd'


def test_a_teacher_is_named_after_its_config(toy):
    assert toy.read(teachers=[dict(cfg=str(toy.folder / 'teacher.py'))]).teachers[0].name == 'teacher'


@pytest.mark.parametrize(('changes', 'words'), [
    (dict(seeds=None), 'study.seeds must be a list of one or more whole numbers from 0 on'),
    (dict(seeds=[]), r'seeds .* not \[\]'),
    (dict(seeds=[0, -1]), r'seeds .* not \[0, -1\]'),
    (dict(seeds=[0, 1, 0]), 'study.seeds: 0 stands there more than once'),
    (dict(fractions=[1.5]), r'study.fractions: fraction must be a number in \(0, 1\], not 1.5'),
    (dict(fractions=[]), 'study.fractions must be a list'),
    (dict(fractions=[.5, .5]), 'study.fractions: 0.5 stands there more than once'),
    (dict(fraction_seed='x'), "study.fraction_seed must be .* not 'x'"),
    (dict(metric=None), 'study.metric must be the name of a metric'),
    (dict(metrik='mIoU'), "no key 'metrik'; did you mean 'metric'"),
    (dict(split='tests'), "study.split='tests' is none of .*; did you mean 'test'"),
    (dict(baseline='non'), "study.baseline='non' is none of .*; did you mean 'none'"),
    (dict(methods=[]), 'study.methods must be a list of one or more'),
    (dict(methods='skd'), "study.methods must be a list of dicts, not 'skd'"),
    (dict(methods=[dict(name='a')]), r'study.methods\[0\] needs `cfg`'),
    (dict(options=['a=1']), r"`options` must be a dict .* not \['a=1'\]"),
    (dict(equal_compute='SKDD'), "equal_compute names 'SKDD', .*; did you mean 'SKD'"),
    (dict(equal_compute=dict(reference='SKD', methods=['SKD'])), "'SKD' is the reference itself"),
    (dict(equal_compute=dict(methods=['SKD'])), 'study.equal_compute must be the name of a method'),
    (dict(equal_compute=dict(reference='SKD', method=['none'])), "no key 'method'; did you mean 'methods'"),
])
def test_wrong_values_are_named(toy, changes, words):
    with pytest.raises(StudyError, match=words):
        toy.read(**changes)


@pytest.mark.parametrize(('entry', 'words'), [
    (dict(name='c', cfg='configs/demo/sdk.py'), r"methods\[2\] \('c'\): there is no config .*; did you mean"),
    (dict(name='s k d', cfg='none', option={}), "no key 'option'; did you mean 'options'"),
    (dict(name='SKD', cfg='none'), "study.methods: 'skd' stands there more than once"),
    (dict(name='skd', cfg='none'), "study.methods: 'skd' stands there more than once"),
    (dict(name='c', cfg='none', epochs=0), "method 'c': `epochs` must be a whole number from 1 on, not 0"),
    (dict(name='c', cfg='skd', teacher='bigg'), "teacher='bigg' is none of .*; did you mean 'big'"),
])
def test_wrong_methods_are_named(toy, entry, words):
    if '/' not in entry['cfg']:
        entry = dict(entry, cfg=str(toy.folder / f'{entry["cfg"]}.py'))
    with pytest.raises(StudyError, match=words):
        toy.read(methods=[toy.method('none', 'none'), toy.method('SKD', 'skd'), entry])


def test_wrong_teachers_are_named(toy):
    teacher = dict(name='big', cfg=str(toy.folder / 'teacher.py'), seed=-1)
    with pytest.raises(StudyError, match="teacher 'big': `seed` must be"):
        toy.read(teachers=[teacher])


def test_all_errors_are_reported_together(toy):
    with pytest.raises(StudyError) as caught:
        toy.read(seeds=None, metric=None, split='x')
    lines = str(caught.value).splitlines()
    assert lines[0].endswith('3 errors') and len(lines) == 4


@pytest.mark.parametrize(('text', 'words'), [
    ('studi = dict()', "has no `study = dict\\(...\\)`; did you mean 'studi'"),
    ('study = [', 'cannot be read: '),
    ('study = 1', 'has no `study = dict'),
])
def test_files_that_are_no_study(tmp_path, text, words):
    file = tmp_path / 'bad.py'
    file.write_text(text)
    with pytest.raises(StudyError, match=words):
        read_study(file)


def test_a_study_file_that_does_not_exist(toy):
    toy.study()
    with pytest.raises(StudyError, match=r"there is no study file '.*/toyy\.py'; did you mean 'toy.py'"):
        read_study(toy.folder / 'toyy.py')
