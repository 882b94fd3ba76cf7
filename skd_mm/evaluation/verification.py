"""Whether two images show the same identity: the measure of face recognition."""

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
    """Verification of pairs: two embeddings are said to be of one identity if their cosine is above a threshold.

    - ``verification/accuracy``, as on LFW (Huang et al., 2007, the protocol of View 2): the pairs are split into ten
      folds; in each the threshold that is best on the other nine is applied; the mean over the folds, in %. It is taken
      on as many pairs of two identities as of one.
    - ``verification/TAR@FAR=x``, as on IJB-A: the share of the pairs of one identity that are accepted, in %, at the
      lowest threshold at which no more than the share ``x`` of the pairs of two identities is. With fewer than
      ``1 / x`` such pairs, that is at no false acceptance at all.

    The data samples must have an ``embedding``, see :class:`skd_mm.models.EmbeddingClassifier`. SSKD (arXiv 1812.01819)
    is evaluated on IJB-A; its protocol with templates of several images is not here.

    Args:
        pairs: A text file with a pair a line: two images as the ends of their paths, and 1 or 0 for the same identity
            or not, separated by blanks. In the order in which they stand there they are split into folds. By default
            all pairs of the data set, whose identity is the label (memory grows with the square of its size); of those
            of two identities a random choice is used for the accuracy, as many as there are of one.
        far: False acceptance rates. Defaults to 0.01 and 0.001.
        folds: How many. Defaults to 10.
        seed: Of the random choice. Defaults to 0.
        **kwargs: As for MMEngine's ``BaseMetric``.

    Raises:
        ValueError: A rate is not in (0, 1), a line of the file is no pair, an image in it is not in the data set, or
            there are too few pairs.

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
        """Takes the embeddings of a batch.

        Args:
            data_batch: Not used.
            data_samples: With ``embedding``, ``[D]``; ``gt_label``, or ``img_path`` where pairs are given.

        Raises:
            ValueError: There are no embeddings.
        """
        for sample in data_samples:
            if 'embedding' not in sample:
                raise ValueError("VerificationMetric: the model's predictions have no `embedding`; a classifier of "
                                 "type 'skd_mm.EmbeddingClassifier' gives them")
            label = int(sample['gt_label'].item()) if self.pairs is None else str(sample['img_path'])
            self.results.append((F.normalize(sample['embedding'].float(), dim=0).cpu(), label))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Measures on all images of all processes.

        Args:
            results: What :meth:`process` collected.

        Returns:
            ``accuracy`` and one ``TAR@FAR=<rate>`` a rate, in %.
        """
        embeddings, labels = torch.stack([embedding for embedding, _ in results]), [label for _, label in results]
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
    """Compares each image with each other one.

    Args:
        embeddings: ``[N, D]``, of length 1.
        labels: The identities.

    Returns:
        The cosines ``[P]`` of the ``N (N - 1) / 2`` pairs, and whether each is of one identity.
    """
    label = torch.tensor(labels)
    one, other = torch.triu_indices(len(label), len(label), offset=1)
    return (embeddings @ embeddings.t())[one, other], label[one] == label[other]


def fold_accuracy(cosine: Tensor, same: Tensor, folds: int) -> float:
    """The accuracy at thresholds that were chosen on other pairs.

    Args:
        cosine: ``[P]``.
        same: ``[P]``, whether a pair is of one identity.
        folds: How many consecutive parts.

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
    """The threshold with the highest accuracy, half-way between the two cosines that it parts.

    Args:
        cosine: ``[P]``.
        same: ``[P]``, whether a pair is of one identity.

    Returns:
        The threshold; below or above all cosines where that is best.
    """
    cosine, order = cosine.double().sort(descending=True)
    edges = torch.cat([cosine[:1] + 1, cosine, cosine[-1:] - 1])
    # Right are the accepted pairs of one identity, and the others of two: for 0, 1 .. P accepted ones.
    gain = torch.cat([torch.zeros(1), (2. * same[order] - 1).cumsum(0)])
    gain[1:-1][cosine[:-1] == cosine[1:]] = -torch.inf  # equal ones cannot be parted
    accepted = int(gain.argmax())
    return ((edges[accepted] + edges[accepted + 1]) / 2).item()


def true_acceptance(cosine: Tensor, same: Tensor, far: float) -> float:
    """The true acceptance rate at a false acceptance rate.

    Args:
        cosine: ``[P]``.
        same: ``[P]``, whether a pair is of one identity.
        far: How large a share of the pairs of two identities may be accepted.

    Returns:
        The share of the pairs of one identity that is accepted then, in [0, 1].
    """
    impostors = cosine[~same].sort(descending=True).values
    # Above the first one that may not be accepted any more. A product such as 0.29 * 100 is 28.999…
    threshold = impostors[int(far * len(impostors) + 1e-9)]
    return (cosine[same] > threshold).float().mean().item()


def read_pairs(path: str) -> list[tuple[str, str, bool]]:
    """Reads a file of pairs.

    Args:
        path: A text file, a pair a line: two images and 1 (one identity) or 0.

    Returns:
        The pairs.

    Raises:
        ValueError: A line is no pair.
    """
    pairs = []
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        fields = line.split()
        if fields and (len(fields) != 3 or fields[2] not in ('0', '1')):
            raise ValueError(f'{path}, line {number}: a pair is two images and 0 or 1, not {line!r}')
        if fields:
            pairs.append((fields[0], fields[1], fields[2] == '1'))
    return pairs


def _named_pairs(embeddings: Tensor, paths: Sequence[str], pairs: Sequence[tuple[str, str, bool]]) -> tuple[Tensor,
                                                                                                          Tensor]:
    """The cosines of the pairs in a file, and whether each is of one identity."""
    index: dict[str, list[int]] = {}
    for i, path in enumerate(paths):
        parts = Path(path).parts
        for k in range(len(parts)):
            index.setdefault('/'.join(parts[k:]), []).append(i)
    for name in (name for one, other, _ in pairs for name in (one, other)):
        if len(index.get(name, ())) != 1:
            fault = f'of which the data set has {len(index[name])}' if name in index else (
                f'which is not in the data set{did_you_mean(name, index)}')
            raise ValueError(f'VerificationMetric: the pairs name {name!r}, {fault}')
    ones = embeddings[[index[one][0] for one, _, _ in pairs]]
    others = embeddings[[index[other][0] for _, other, _ in pairs]]
    return (ones * others).sum(1), torch.tensor([same for *_, same in pairs])


def _balanced(same: Tensor, seed: int) -> Tensor:
    """Indices of as many pairs of two identities as of one, mixed."""
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    kinds = [pairs.nonzero().flatten() for pairs in (same, ~same)]
    size = min(map(len, kinds))
    for kind in kinds:
        chosen.append(kind[torch.randperm(len(kind), generator=generator)[:size]])
    both = torch.cat(chosen)
    return both[torch.randperm(len(both), generator=generator)]
