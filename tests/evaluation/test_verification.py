import pytest
import torch
from mmpretrain.structures import DataSample
from torch.nn import functional as F

from skd_mm.evaluation import VerificationMetric
from skd_mm.evaluation.verification import best_threshold, fold_accuracy, true_acceptance


def samples(embeddings, labels):
    """What the evaluator hands to a metric."""
    return [dict(DataSample(metainfo=dict(img_path=f'data/faces/{label}/{i}.png')).set_gt_label(label).to_dict(),
                 embedding=embedding) for i, (embedding, label) in enumerate(zip(embeddings, labels, strict=True))]


def measure(embeddings, labels, batch=7, **kwargs):
    metric = VerificationMetric(**kwargs)
    found = samples(embeddings, labels)
    for i in range(0, len(found), batch):
        metric.process({}, found[i:i + batch])
    return metric.evaluate(len(found))


def identities(count=6, images=5, noise=0.0, seed=0):
    """Embeddings of any length around a direction for each identity."""
    generator = torch.Generator().manual_seed(seed)
    labels = [i % count for i in range(count * images)]
    directions = F.normalize(torch.randn(count, 32, generator=generator), dim=1)[labels]
    lengths = 1 + torch.rand(len(labels), 1, generator=generator)
    return lengths * (directions + noise * torch.randn(directions.shape, generator=generator)), labels


def test_identities_that_lie_apart_are_told_apart():
    metrics = measure(*identities(noise=0.02))
    assert metrics == {f'verification/{key}': 100 for key in ('accuracy', 'TAR@FAR=0.01', 'TAR@FAR=0.001')}


def test_embeddings_without_a_meaning_are_right_half_of_the_time():
    embeddings, labels = identities(count=10, images=12, noise=1e4)
    metrics = measure(embeddings, labels, far=[0.1, 0.5])
    assert metrics['verification/accuracy'] == pytest.approx(50, abs=6)  # balanced: 92 % of all pairs are of two
    assert metrics['verification/TAR@FAR=0.1'] == pytest.approx(10, abs=4)
    assert metrics['verification/TAR@FAR=0.5'] == pytest.approx(50, abs=5)


def test_the_lengths_of_embeddings_do_not_matter():
    embeddings, labels = identities(noise=0.2)
    lengths = torch.linspace(0.01, 100, len(labels))[:, None]
    one, other = measure(embeddings, labels), measure(embeddings * lengths, labels)
    assert one == pytest.approx(other) and one['verification/accuracy'] < 100


@pytest.mark.parametrize(('cosine', 'same', 'threshold'), [
    ([.9, .8, .3, .1], [1, 1, 0, 0], .55),
    ([.9, .8, .7, .1], [1, 0, 1, 0], .85),  # as good as .4; the first of the best
    ([.5, .5, .1], [1, 0, 0], 1.0),  # equal ones cannot be parted: all or nothing of them
    ([.9, .2], [1, 1], -.3)])
def test_the_best_threshold_is_half_way(cosine, same, threshold):
    assert best_threshold(torch.tensor(cosine), torch.tensor(same).bool()) == pytest.approx(threshold)


def test_a_fold_has_the_threshold_of_the_others():
    cosine = torch.tensor([.1, .2, .8, .9, .6, .7])
    same = torch.tensor([0, 0, 1, 1, 0, 0]).bool()
    # First fold: 1 and .8 between .8 and .7 part the rest. Second: all of the rest is of two, nothing is accepted.
    # Third: .5 parts the rest, and accepts both.
    assert fold_accuracy(cosine, same, 3) == pytest.approx((1 + 0 + 0) / 3)


@pytest.mark.parametrize(('far', 'expected'), [(.05, .5), (.1, .75), (.19, .75), (.2, 1), (.99, 1)])
def test_true_acceptance_counts_what_lies_above_the_false_ones(far, expected):
    impostors, genuine = [.2, .95, .7, .5, .4, .3, .1, 0, -.1, -.2], [.99, .98, .8, .6]
    same = torch.tensor([False] * 10 + [True] * 4)
    assert true_acceptance(torch.tensor(impostors + genuine), same, far) == expected


def test_a_rate_is_not_cut_short_by_rounding():
    cosine = torch.cat([torch.linspace(1, 0, 100), torch.tensor([0.7105])])  # 29 of a hundred lie above it
    same = torch.arange(101) == 100
    assert .29 * 100 < 29
    assert [true_acceptance(cosine, same, far) for far in (.28, .29)] == [0, 1]


def test_pairs_from_a_file_in_its_order(tmp_path):
    embeddings, labels = identities(count=2, images=2)
    (tmp_path / 'pairs.txt').write_text('0/0.png 0/2.png 1\n\nfaces/0/0.png 1/1.png 0\n1/1.png 1/3.png 1\n'
                                        '0/2.png data/faces/1/3.png 0\n')
    metrics = measure(embeddings, labels, pairs=str(tmp_path / 'pairs.txt'), folds=2, far=[0.5])
    assert metrics == {'verification/accuracy': 100, 'verification/TAR@FAR=0.5': 100}


@pytest.mark.parametrize(('text', 'words'), [
    ('0/0.png 0/2.png\n', 'pairs.txt, line 1: a pair is two images and 0 or 1'),
    ('0/0.png 0/2.png 1\n0/0.png 1/1.png no\n', 'line 2'),
    ('0/0.png 0/22.png 1\n', "name '0/22.png', which is not in the data set; did you mean '0/2.png'"),
    ('0/0.png faces 1\n', "name 'faces', which is not in the data set"),
    ('0/0.png 0/2.png 1\n1/1.png 1/3.png 1\n', '2 pairs of one identity and 0 of two are too few for 2 folds')])
def test_wrong_pairs(tmp_path, text, words):
    (tmp_path / 'pairs.txt').write_text(text)
    with pytest.raises(ValueError, match=words):
        measure(*identities(count=2, images=2), pairs=str(tmp_path / 'pairs.txt'), folds=2)


def test_ambiguous_pairs(tmp_path):
    (tmp_path / 'pairs.txt').write_text('a.png a.png 1\n')
    metric = VerificationMetric(pairs=str(tmp_path / 'pairs.txt'), folds=2)
    metric.process({}, [dict(img_path=f'{folder}/a.png', embedding=torch.ones(2)) for folder in 'xy'])
    with pytest.raises(ValueError, match=r"'a.png', of which the data set has 2"):
        metric.evaluate(2)


@pytest.mark.parametrize(('arguments', 'words'), [
    (dict(far=[0.1, 1]), r'`far` must be rates between 0 and 1, not \[0.1, 1\]'),
    (dict(folds=1), '`folds` must be 2 or more')])
def test_wrong_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        VerificationMetric(**arguments)


def test_predictions_without_embeddings_say_who_gives_them():
    with pytest.raises(ValueError, match=r'skd_mm\.EmbeddingClassifier'):
        VerificationMetric().process({}, [DataSample().set_gt_label(0).to_dict()])
