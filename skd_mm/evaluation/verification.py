"""Verification: whether two images show the same identity, as in face recognition."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor
from torch.nn import functional as F

from skd_mm.registry import METRICS
from skd_mm.utils import did_you_mean


@METRICS.register_module()
class VerificationMetric(BaseMetric):
    """Verification of pairs: a pair is accepted as one identity if the cosine of its embeddings is above a threshold.

    - ``verification/accuracy``, as on LFW (Huang et al., 2007, the protocol of View 2): the pairs are split into folds.
      In each, the threshold is the best one of the other folds. The accuracy is averaged over the folds, in percent,
      with as many negative pairs (two identities) as positive ones (one identity).
    - ``verification/TAR@FAR=x``, as on IJB-A: the share of positive pairs that are accepted, in percent, at the lowest
      threshold that accepts at most the share ``x`` of the negative pairs. With fewer than ``1 / x`` negative pairs,
      that means no false acceptance at all.

    The data samples must have an ``embedding``, see :class:`skd_mm.models.EmbeddingClassifier`. SSKD (arXiv 1812.01819)
    is evaluated on IJB-A; its protocol with templates of several images is not implemented.

    Args:
        pairs: A text file with one pair per line: two images, as ends of their paths, and 1 for one identity or 0 for
            two, separated by blanks. The order of the lines determines the folds. Defaults to None, all pairs of the
            data set, with the label as identity (memory grows with the square of its size); the accuracy then uses a
            random choice of the negative pairs.
        far: False acceptance rates. Defaults to (0.01, 0.001).
        folds: Number of folds. Defaults to 10.
        seed: Seed of the random choice. Defaults to 0.
        **kwargs: As for MMEngine's ``BaseMetric``.

    Raises:
        ValueError: A rate is not in (0, 1), a line of the file is not a pair, an image of a pair is not in the data
            set, or there are too few pairs.

    Example:
        >>> val_evaluator = dict(type='skd_mm.VerificationMetric', pairs='lfw_pairs.txt')
    """

    default_prefix = 'verification'

    def __init__(self, pairs: str | None = None, far: Sequence[float] = (0.01, 0.001), folds: int = 10, seed: int = 0,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if folds < 2:
            raise ValueError(f'VerificationMetric: `folds` must be 2 or more, not {folds!r}')
        if not all(0 < rate < 1 for rate in far):
            raise ValueError(f'VerificationMetric: `far` must be rates between 0 and 1, not {list(far)}')
        self.pairs = None if pairs is None else read_pairs(pairs)
        self.far = tuple(far)
        self.folds = folds
        self.seed = seed

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Collect the embeddings of a batch.

        Args:
            data_batch: Not used.
            data_samples: The samples, with ``embedding`` ``[D]`` and ``gt_label``, or ``img_path`` if pairs are given.

        Raises:
            ValueError: There are no embeddings.
        """
        for sample in data_samples:
            if 'embedding' not in sample:
                raise ValueError("VerificationMetric: the model's predictions have no `embedding`; use a classifier of "
                                 "type 'skd_mm.EmbeddingClassifier'")
            label = int(sample['gt_label'].item()) if self.pairs is None else str(sample['img_path'])
            self.results.append((F.normalize(sample['embedding'].float(), dim=0).cpu(), label))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics over the images of all processes.

        Args:
            results: Output of :meth:`process`.

        Returns:
            ``accuracy`` and a ``TAR@FAR=<rate>`` for each rate, in percent.

        Raises:
            ValueError: There are too few pairs, or an image of a pair is not in the data set.
        """
        embeddings = torch.stack([embedding for embedding, _ in results])
        labels = [label for _, label in results]
        if self.pairs is None:
            cosine, same = all_pairs(embeddings, labels)
            balanced = _balanced(same, self.seed)
        else:
            cosine, same = _named_pairs(embeddings, labels, self.pairs)
            balanced = torch.arange(len(same))
        if len(balanced) < self.folds or not same.any() or same.all():
            raise ValueError(f'VerificationMetric: {int(same.sum())} pairs of one identity and {int((~same).sum())} of '
                             f'two are too few for {self.folds} folds')
        metrics = dict(accuracy=100 * fold_accuracy(cosine[balanced], same[balanced], self.folds))
        metrics.update({f'TAR@FAR={rate:g}': 100 * true_acceptance(cosine, same, rate) for rate in self.far})
        return metrics


def all_pairs(embeddings: Tensor, labels: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the cosines of all pairs of images.

    Args:
        embeddings: ``[N, D]``, normalised.
        labels: The identities.

    Returns:
        The cosines ``[P]`` of the ``N (N - 1) / 2`` pairs, and whether each is of one identity, ``[P]``.
    """
    label = torch.tensor(labels)
    first, second = torch.triu_indices(len(label), len(label), offset=1)
    return (embeddings @ embeddings.t())[first, second], label[first] == label[second]


def fold_accuracy(cosine: Tensor, same: Tensor, folds: int) -> float:
    """Return the accuracy with thresholds chosen by cross-validation.

    Args:
        cosine: ``[P]``.
        same: ``[P]``, whether a pair is of one identity.
        folds: Number of folds, which are consecutive.

    Returns:
        The mean over the folds, in [0, 1].
    """
    accuracies = []
    for fold in torch.arange(len(cosine)).tensor_split(folds):
        rest = torch.ones(len(cosine), dtype=torch.bool)
        rest[fold] = False
        threshold = best_threshold(cosine[rest], same[rest])
        accuracies.append(((cosine[fold] > threshold) == same[fold]).float().mean().item())
    return sum(accuracies) / folds


def best_threshold(cosine: Tensor, same: Tensor) -> float:
    """Return the threshold with the highest accuracy, half-way between the two cosines that it separates.

    Args:
        cosine: ``[P]``.
        same: ``[P]``, whether a pair is of one identity.

    Returns:
        The threshold; below or above all cosines if that is best.
    """
    cosine, order = cosine.double().sort(descending=True)
    edges = torch.cat([cosine[:1] + 1, cosine, cosine[-1:] - 1])
    # Number of correct decisions if the first 0, 1 .. P pairs are accepted, up to a constant.
    gain = torch.cat([torch.zeros(1), (2. * same[order] - 1).cumsum(0)])
    gain[1:-1][cosine[:-1] == cosine[1:]] = -torch.inf  # no threshold separates equal cosines
    accepted = int(gain.argmax())
    return ((edges[accepted] + edges[accepted + 1]) / 2).item()


def true_acceptance(cosine: Tensor, same: Tensor, far: float) -> float:
    """Return the true acceptance rate at a false acceptance rate.

    Args:
        cosine: ``[P]``.
        same: ``[P]``, whether a pair is of one identity.
        far: Largest share of the pairs of two identities that may be accepted.

    Returns:
        The share of the pairs of one identity that is accepted, in [0, 1].
    """
    impostors = cosine[~same].sort(descending=True).values
    # The cosine of the first pair that must be rejected. A product such as 0.29 * 100 is 28.999…
    threshold = impostors[int(far * len(impostors) + 1e-9)]
    return (cosine[same] > threshold).float().mean().item()


def read_pairs(path: str) -> list[tuple[str, str, bool]]:
    """Read a file of pairs.

    Args:
        path: A text file with one pair per line: two images and 1 (one identity) or 0 (two).

    Returns:
        The pairs: two images, and whether they are of one identity.

    Raises:
        ValueError: A line is not a pair.
    """
    pairs = []
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 3 or fields[2] not in ('0', '1'):
            raise ValueError(f'{path}, line {number}: a pair is two images and 0 or 1, not {line!r}')
        pairs.append((fields[0], fields[1], fields[2] == '1'))
    return pairs


def _named_pairs(embeddings: Tensor, paths: Sequence[str],
                 pairs: Sequence[tuple[str, str, bool]]) -> tuple[Tensor, Tensor]:
    """Return the cosines of given pairs, and whether each is of one identity."""
    indices: dict[str, list[int]] = {}  # by every end of a path
    for i, path in enumerate(paths):
        parts = Path(path).parts
        for k in range(len(parts)):
            indices.setdefault('/'.join(parts[k:]), []).append(i)

    def find(name: str) -> int:
        if name not in indices:
            raise ValueError(f'VerificationMetric: the pairs name {name!r}, which is not in the data set'
                             f'{did_you_mean(name, indices)}')
        if len(indices[name]) > 1:
            raise ValueError(f'VerificationMetric: the pairs name {name!r}, of which the data set has '
                             f'{len(indices[name])}')
        return indices[name][0]

    first = embeddings[[find(name) for name, _, _ in pairs]]
    second = embeddings[[find(name) for _, name, _ in pairs]]
    return (first * second).sum(1), torch.tensor([same for *_, same in pairs])


def _balanced(same: Tensor, seed: int) -> Tensor:
    """Return the indices of equally many pairs of one and of two identities, shuffled."""
    generator = torch.Generator().manual_seed(seed)
    positive, negative = same.nonzero().flatten(), (~same).nonzero().flatten()
    size = min(len(positive), len(negative))
    chosen = []
    for pairs in (positive, negative):
        chosen.append(pairs[torch.randperm(len(pairs), generator=generator)[:size]])
    balanced = torch.cat(chosen)
    return balanced[torch.randperm(len(balanced), generator=generator)]
