import copy

import pytest

from skd_mm.analysis.studies import StudyError, statistics, tables
from skd_mm.analysis.studies.pages import update

RESULTS = {'none': [10.0, 12.0, 14.0], 'good': [15.0, 17.5, 18.5], 'same': [9.0, 13.0, 14.0]}


def record(name, seed, value, kind='run', fraction=0.1, **changes):
    return dict(dict(
        kind=kind, name=name, fraction=fraction, seed=seed, status='done', digest='x', commit='abcdef0' + 33 * '1',
        compute=dict(phases=2, length=10, unit='epochs', images=36, iterations=80, flops=2 * 10**12,
                     flops_cached=10**12),
        metrics={which: {'mIoU': value - shift} for which, shift in (('best', 0), ('last', 1))},
        per_class=dict(best=dict(IoU=dict(cat=value, dog=None)), last={}),
        versions=dict(torch='2.13', device='CPU'),
        resources=dict(cpu_seconds=100.0 + seed, gpu_seconds=None)), **changes)


@pytest.fixture
def study():
    records = [record('big', 0, 40.0, 'teacher', None)]
    records += [record(name, seed, value) for name, values in RESULTS.items() for seed, value in enumerate(values)]
    head = dict(name='x', title='X', metric='mIoU', split='test', seeds=[0, 1, 2], fractions=[0.1], baseline='none',
                reference='good', matched=['none', 'same'], data={}, options={})
    return dict(study=head, methods=[dict(name=name, config=f'{name}.py', options={}) for name in RESULTS],
                records=records)


def row(table, name):
    return next([cell.strip() for cell in line.strip('|').split('|')] for line in table.splitlines()
                if line.startswith(f'| {name} |'))


def test_the_summary_has_means_deviations_and_paired_differences(study):
    table = tables.summary_table(study, 0.1)
    # Differences to the baseline: 5, 5.5, 4.5, with a standard deviation of 0.5; t(.975, 2) = 4.3027.
    half = 4.3027 * 0.5 / 3**0.5
    assert row(table, 'good') == ['good', '3', '17.00', '1.80', '16.00', '1.80',
                                  f'+5.00 [+{5 - half:.2f}, +{5 + half:.2f}]', '2 × 10 epochs', '2', '1', '101']
    assert row(table, 'none')[6] == '' and row(table, 'none')[2:4] == ['12.00', '2.00']
    assert row(table, 'teacher big') == ['teacher big', '1', '40.00', '', '39.00', '', '', '2 × 10 epochs', '2', '1',
                                         '100']
    assert table.splitlines()[0].endswith('CPU s per run |')


def test_seconds_of_the_gpu_where_there_was_one(study):
    for entry in study['records']:
        entry['resources']['gpu_seconds'] = 7.0
    table = tables.summary_table(study, 0.1)
    assert 'GPU s per run' in table and row(table, 'good')[-1] == '7'


def test_only_seeds_that_both_have_are_paired(study):
    study['records'] = [entry for entry in study['records'] if (entry['name'], entry['seed']) != ('none', 1)]
    found = statistics.compare(statistics.results(study, 'good', 0.1), statistics.results(study, 'none', 0.1))
    assert (found.mean, found.pairs) == (4.75, 2)
    assert statistics.compare({0: 1.0}, {1: 1.0}) is None


def test_what_cannot_be_told_apart(study):
    assert statistics.indistinguishable(study, 0.1) == [('none', 'same')]
    text = '\n'.join(tables.notes(study, 0.1))
    assert 'Not distinguishable at 95 % (best checkpoint, each pair by itself): none and same.' in text
    assert 'none and same have the training compute of good' in text
    assert 'CPU, torch 2.13, commit abcdef0.' in text
    for entry in study['records']:
        if entry['name'] == 'same':
            entry['metrics']['best']['mIoU'] += 50
    assert 'Every pair of methods is distinguishable' in '\n'.join(tables.notes(study, 0.1))


def test_nothing_is_said_of_differences_before_there_are_results(study):
    for record in study['records']:
        record.pop('metrics', None)
    assert 'istinguishable' not in '\n'.join(tables.notes(study, 0.1))


def test_one_seed_has_no_interval(study):
    study['study']['seeds'] = [0]
    study['records'] = [entry for entry in study['records'] if entry['seed'] == 0]
    table = tables.summary_table(study, 0.1)
    assert row(table, 'good')[3] == '' and row(table, 'good')[6] == '+5.00'
    assert 'With one seed, no difference has an interval.' in tables.notes(study, 0.1)


def test_missing_and_failed_runs_are_named(study):
    for entry in study['records'][-2:]:
        for key in ('metrics', 'per_class', 'resources', 'versions', 'commit'):
            entry.pop(key)
    study['records'][-1]['status'], study['records'][-2]['status'] = 'failed', 'missing'
    text = '\n'.join(tables.notes(study, 0.1))
    assert 'same, seed 2: failed.' in text and 'same, seed 1: missing.' in text
    assert row(tables.summary_table(study, 0.1), 'same')[1] == '1'
    assert row(tables.seed_table(study, 0.1), 'same') == ['same', '9.00 (8.00)', '–', '–']


def test_a_study_without_results_has_tables(study):
    study['records'] = []
    study['methods'] = study['methods'][:0]
    assert tables.render(study).startswith('| method |')


def test_results_of_each_seed_and_each_class(study):
    assert row(tables.seed_table(study, 0.1), 'good') == ['good', '15.00 (14.00)', '17.50 (16.50)', '18.50 (17.50)']
    table = tables.class_table(study, 0.1)
    assert table.splitlines()[0] == '| class | teacher big | none | good | same |'
    assert row(table, 'cat') == ['cat', '40.00', '12.00', '17.00', '12.00'] and row(table, 'dog')[1:] == ['–'] * 4


def test_many_classes_have_no_table(study):
    for entry in study['records']:
        entry['per_class']['best']['IoU'] = {str(i): 1.0 for i in range(31)}
    assert tables.class_table(study, 0.1) == ''


def test_each_fraction_has_its_tables(study):
    more = [dict(copy.deepcopy(entry), fraction=0.5) for entry in study['records'] if entry['kind'] == 'run']
    for entry in more:
        entry['metrics']['best']['mIoU'] += 100
    study['records'] += more
    study['study']['fractions'] = [0.1, 0.5]
    text = tables.render(study, ['summary'])
    first, second = text.split('**50 % of the training images**')
    assert first.startswith('**10 % of the training images**')
    assert '| 17.00 |' in first and '| 117.00 |' in second and '117.00' not in first


def test_a_metric_that_is_not_there(study):
    study['study']['metric'] = 'mAcc'
    with pytest.raises(KeyError, match=r"study.metric='mAcc' is not among .*\['mIoU'\]"):
        tables.render(study)


PAGE = """# Page

<!-- study results/x.json: summary -->
old
<!-- end study -->

text

```
<!-- study results/x.json: summary -->
example
<!-- end study -->
```
"""


@pytest.fixture
def root(tmp_path, study):
    import json
    (tmp_path / 'results').mkdir()
    (tmp_path / 'results/x.json').write_text(json.dumps(study))
    return tmp_path


def test_a_page_is_generated_between_its_marks(root, study):
    page = update(PAGE, root)
    assert tables.summary_table(study, 0.1) in page and 'old' not in page
    assert page.startswith('# Page\n\n<!-- study results/x.json: summary -->\n')
    assert page.endswith('example\n<!-- end study -->\n```\n')
    assert update(page, root) == page
    assert update(page.replace('17.00', '71.00'), root) == page


def test_a_place_without_parts_has_all_of_them(root, study):
    assert tables.render(study) in update(PAGE.replace(': summary', ':', 1), root)


@pytest.mark.parametrize(('old', 'new', 'words'), [
    ('x.json: summary', 'y.json: summary', "there is no file 'results/y.json'; did you mean 'x.json'"),
    ('x.json: summary', 'x.json: sumary', "there is no part 'sumary'; did you mean 'summary'"),
    ('<!-- end study -->', '', '1 places begin with .* and 0 of them end')])
def test_wrong_places_are_named(root, old, new, words):
    with pytest.raises(StudyError, match=words):
        update(PAGE.replace(old, new, 1), root)
