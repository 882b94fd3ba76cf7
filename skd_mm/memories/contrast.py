"""The memory of contrastive representation distillation."""

import math

import torch
import torch.distributed as torch_dist
from mmengine.dist import get_world_size
from torch import Tensor, nn

from skd_mm.registry import MEMORIES


@MEMORIES.register_module()
class ContrastMemory(nn.Module):
    """One embedding of every training image from each network, and the odds that a pair of embeddings belongs together.

    For each sample it compares the embedding of one network with ``1 + K`` rows that are remembered of the other: the
    sample's own and ``K`` drawn with replacement from samples of other classes. The log-odds that a row is the own one
    are ``x = s / τ - log Z - log K`` with the inner product ``s``; ``Z`` is the mean of ``exp(s / τ)`` over the first
    batch and stays as it is. After that each row becomes ``normalise(m · row + (1 - m) · embedding)``. Tian, Krishnan
    and Isola, arXiv 1910.10699, Sec. 3.2 and the authors' code (`exact` positives), there with probabilities that are
    multiples of ``1 / num_samples``; it cancels. SAKD (arXiv 2205.02399), table row CRD, has these defaults.

    What a sample's class is, is learnt as it comes. In the first epoch, while rows have not been written, these random
    vectors are drawn as well, whatever their class. From the moment at which a sample comes again, only written rows
    are, so that with a data fraction nothing is compared with noise.

    All of its state is in buffers, so a resumed run goes on exactly; what is drawn comes from PyTorch's global
    generator. In a distributed run the memories of all processes stay equal: :meth:`forward` must be called by all of
    them in every step, with no samples if need be. Several copies of one image in a global batch are not supported.

    Args:
        num_samples: Images in the training set, whatever part of it is used.
        dim: Length of an embedding. Defaults to 128.
        negatives: Rows of other images for each sample, ``K``. Defaults to 16384.
        temperature: ``τ``. Defaults to 0.07.
        momentum: ``m``, what is kept of a row. Defaults to 0.5.

    Raises:
        ValueError: A number makes no sense.
    """

    def __init__(self, num_samples: int, dim: int = 128, negatives: int = 16384, temperature: float = 0.07,
                 momentum: float = 0.5) -> None:
        super().__init__()
        if num_samples < 2 or dim < 1 or negatives < 1 or not temperature > 0 or not 0 <= momentum < 1:
            raise ValueError('ContrastMemory needs num_samples > 1, dim and negatives > 0, temperature > 0 and '
                             f'momentum in [0, 1), not {num_samples}, {dim}, {negatives}, {temperature} and {momentum}')
        self.negatives = negatives
        self.temperature = temperature
        self.momentum = momentum
        bound = math.sqrt(3 / dim)  # rows of length 1 on average
        self.student: Tensor
        self.teacher: Tensor
        self.labels: Tensor
        self.complete: Tensor
        self.log_mean: Tensor
        for name in ('student', 'teacher'):
            self.register_buffer(name, torch.empty(num_samples, dim).uniform_(-bound, bound))
        self.register_buffer('labels', torch.full((num_samples,), -1))  # -1: the row has not been written
        self.register_buffer('complete', torch.zeros((), dtype=torch.bool))
        self.register_buffer('log_mean', torch.full((2,), float('nan')))  # log Z of either side

    def forward(self, student: Tensor, teacher: Tensor, index: Tensor | None = None,
                labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compares embeddings with what is remembered, and in training mode remembers them.

        In eval mode nothing is remembered, a sample's own row is the other network's embedding of it, and the others
        are the same for every batch of that size.

        Args:
            student: ``[B, dim]`` of length 1, the student's embeddings.
            teacher: ``[B, dim]``, the teacher's.
            index: ``[B]``, the images' positions in the training set; not used in eval mode.
            labels: ``[B]``, their classes, from 0 on. Without them each image is its own class.

        Returns:
            Log-odds ``[B, 1 + K]`` of the student's and of the teacher's embeddings, the own row first.

        Raises:
            ValueError: The embeddings are of another dimension. In training mode: no index, one beyond ``num_samples``,
                or labels that are no classes; all rows are of one class.
        """
        if student.shape[1:] != self.student.shape[1:]:
            raise ValueError(f'ContrastMemory has dim={self.student.shape[1]}, and the embeddings are '
                             f'{list(student.shape[1:])}')
        with torch.autocast(student.device.type, enabled=False):
            student, teacher = (side.to(torch.promote_types(side.dtype, torch.float32)) for side in (student, teacher))
            if not self.training:
                own = (student * teacher).sum(1, keepdim=True)
                rows = self._draw(labels, len(student), torch.Generator(student.device).manual_seed(0))
                scores = tuple(torch.cat([own, self._compare(side, bank, rows)], dim=1) / self.temperature
                               for side, bank in ((student, self.teacher), (teacher, self.student)))
                log_mean = self.log_mean
                if log_mean.isnan().any():
                    log_mean = self._log_mean(scores)
                return self._odds(scores, log_mean)

            if index is None:
                raise ValueError('ContrastMemory needs the position of each image in the training set')
            if labels is not None and labels.dim() != 1:
                raise ValueError(f'ContrastMemory takes one class an image, not {list(labels.shape)}')
            labels = index if labels is None else labels
            everyone = [_gather(part.detach()) for part in (student, teacher, index, labels)]
            self._note(*everyone[2:])
            rows = torch.cat([index[:, None], self._draw(labels, len(student))], dim=1)
            scores = tuple(self._compare(side, bank, rows) / self.temperature
                           for side, bank in ((student, self.teacher), (teacher, self.student)))
            if self.log_mean.isnan().any():
                self.log_mean = self._log_mean(scores)
            self._remember(*everyone[:3])
            return self._odds(scores, self.log_mean)

    def _odds(self, scores: tuple[Tensor, ...], log_mean: Tensor) -> tuple[Tensor, Tensor]:
        shift = log_mean.to(scores[0].dtype) + math.log(self.negatives)
        return scores[0] - shift[0], scores[1] - shift[1]

    @staticmethod
    def _compare(embedding: Tensor, bank: Tensor, rows: Tensor) -> Tensor:
        """``[B, D]``, ``[N, D]`` and ``[B, R]`` to inner products ``[B, R]``."""
        # All of them, and then a choice: [B, R, D] would be far larger than the [B, N] that this takes.
        return (embedding @ bank.to(embedding.dtype).t()).gather(1, rows)

    def _draw(self, labels: Tensor | None, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """Rows of other classes, ``[B, K]``, each as likely as any other."""
        # Sorted by class, the rows that do not count come first, and a class is one block that is stepped over.
        classes, order = self.labels.sort(stable=True)
        first = ((classes < 0).sum() * self.complete)[None, None]
        if labels is None:
            begin = end = first.expand(batch, 1)
        else:
            begin = torch.searchsorted(classes, labels.contiguous())[:, None]
            end = torch.searchsorted(classes, labels.contiguous(), right=True)[:, None]
        number = len(order) - first - (end - begin)
        if batch and not number.min() > 0:
            raise ValueError('ContrastMemory: all images seen are of one class, there is nothing to contrast them with')
        drawn = torch.randint(2**62, (batch, self.negatives), generator=generator, device=order.device) % number + first
        return order[torch.where(drawn >= begin, drawn + end - begin, drawn)]

    @torch.no_grad()
    def _note(self, index: Tensor, labels: Tensor) -> None:
        """Takes down the classes of samples, and whether one of them came before."""
        if not len(index):
            return
        if int(index.max()) >= len(self.labels):
            raise ValueError(f'ContrastMemory has num_samples={len(self.labels)}, but there is an image number '
                             f'{int(index.max())}')
        if int(labels.min()) < 0:
            raise ValueError(f'ContrastMemory: classes are counted from 0, there is a label {int(labels.min())}')
        self.complete |= (self.labels[index] >= 0).any()
        self.labels[index] = labels

    @torch.no_grad()
    def _remember(self, student: Tensor, teacher: Tensor, index: Tensor) -> None:
        """Moves the rows of samples towards their embeddings."""
        for name, embedding in (('student', student), ('teacher', teacher)):
            bank = getattr(self, name)
            rows = self.momentum * bank[index] + (1 - self.momentum) * embedding.to(bank.dtype)
            # Not in place: the backward of this step still needs the rows as they were.
            setattr(self, name, bank.index_copy(0, index, nn.functional.normalize(rows, dim=1)))

    @torch.no_grad()
    def _log_mean(self, scores: tuple[Tensor, ...]) -> Tensor:
        """``log Z`` of either side, ``[2]``, over all processes; NaN as long as there are no samples."""
        means = []
        for score in scores:
            every = _gather(score.exp().mean(1))
            means.append(every.mean().log().to(self.log_mean.dtype))
        return torch.stack(means)


def _gather(part: Tensor) -> Tensor:
    """``[B, ...]`` of every process, one behind the other; each may have another ``B``."""
    world = get_world_size()
    if world == 1:
        return part
    sizes = [torch.zeros(1, dtype=torch.long, device=part.device) for _ in range(world)]
    torch_dist.all_gather(sizes, torch.tensor([len(part)], device=part.device))
    longest = max(int(size) for size in sizes)
    padded = torch.cat([part, part.new_zeros(longest - len(part), *part.shape[1:])])
    parts = [torch.empty_like(padded) for _ in range(world)]
    torch_dist.all_gather(parts, padded.contiguous())
    return torch.cat([part[:int(size)] for part, size in zip(parts, sizes, strict=True)])
