"""The memory of contrastive representation distillation."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from skd_mm.registry import MEMORIES
from skd_mm.utils import DeferredChecks, HostCopy, gather_samples


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

    All of its state is in buffers, so a resumed run continues exactly; what is drawn comes from PyTorch's global
    generator. A step changes the rows of its samples in place. It copies the rows that it draws or, if that is less,
    reads each row once; beyond that, only sorting the classes grows with the number of samples. On an accelerator the
    host never waits: wrong values are reported one step later.

    In a distributed run the memories of all processes stay equal. :meth:`forward` must be called by all of them in
    every step, with the same number of samples; ``selected`` leaves out those that are not distilled. Several copies of
    one image in a global batch are not supported.

    Args:
        num_samples: Images in the training set, whatever part of it is used.
        dim: Length of an embedding; filled in by the distiller. Defaults to 128.
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
        self._normalized: HostCopy | None = None  # whether `log_mean` is known
        self._checks = DeferredChecks()
        self.register_load_state_dict_post_hook(_forget_normalized)

    def forward(self, student: Tensor, teacher: Tensor, index: Tensor | None = None, labels: Tensor | None = None,
                selected: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compare embeddings with the memory, and in training mode remembers them.

        In eval mode nothing is remembered, a sample's own row is the other network's embedding of it, and the others
        are the same for every batch of that size.

        Args:
            student: ``[B, dim]`` of length 1, the student's embeddings.
            teacher: ``[B, dim]``, the teacher's.
            index: ``[B]``, the images' positions in the training set; not used in eval mode.
            labels: ``[B]``, their classes, from 0 on. Without them each image is its own class.
            selected: ``[B]``, True for the samples that are distilled; all by default. The others are not remembered,
                and their log-odds mean nothing.

        Returns:
            Log-odds ``[B, 1 + K]`` of the student's and of the teacher's embeddings, the own row first.

        Raises:
            ValueError: The embeddings are of another dimension. In training mode: no index, one beyond ``num_samples``,
                or labels that are no classes; all rows are of one class.
        """
        if student.shape[1:] != self.student.shape[1:]:
            raise ValueError(f'ContrastMemory has dim={self.student.shape[1]}, and the embeddings are '
                             f'{list(student.shape[1:])}')
        self._checks.check()
        with torch.autocast(student.device.type, enabled=False):
            student, teacher = (side.to(torch.promote_types(side.dtype, torch.float32)) for side in (student, teacher))
            if selected is None:
                selected = torch.ones(len(student), dtype=torch.bool, device=student.device)
            if not self.training:
                return self._evaluate(student, teacher, labels, selected)
            if index is None:
                raise ValueError('ContrastMemory needs the position of each image in the training set')
            if labels is not None and labels.dim() != 1:
                raise ValueError(f'ContrastMemory takes one class an image, not {list(labels.shape)}')
            return self._train(student, teacher, index, index if labels is None else labels, selected)

    def _train(self, student: Tensor, teacher: Tensor, index: Tensor, labels: Tensor,
               selected: Tensor) -> tuple[Tensor, Tensor]:
        everyone = [gather_samples(part.detach()) for part in (student, teacher, index, labels, selected)]
        everyone[2] = self._note(*everyone[2:])
        rows = torch.cat([index.clamp(max=len(self.labels) - 1)[:, None], self._draw(labels, selected)], dim=1)
        banks = (self.teacher, self.student)
        before = tuple(_Before(bank) for bank in banks)
        scores = tuple(_InnerProducts.apply(side, rows, bank, old) / self.temperature
                       for side, bank, old in zip((student, teacher), banks, before, strict=True))
        if self._normalized is None or not self._normalized.read():
            self.log_mean.copy_(torch.where(self.log_mean.isnan(), self._log_mean(scores, selected), self.log_mean))
            self._normalized = HostCopy(self.log_mean.isfinite().all())
        _, _, index, _, selected = everyone
        for embedding, bank, old in zip((everyone[1], everyone[0]), banks, before, strict=True):
            self._remember(embedding, bank, old, index, selected)
        return self._odds(scores, self.log_mean)

    def _evaluate(self, student: Tensor, teacher: Tensor, labels: Tensor | None,
                  selected: Tensor) -> tuple[Tensor, Tensor]:
        own = (student * teacher).sum(1, keepdim=True)
        rows = self._draw(labels, selected, torch.Generator(student.device).manual_seed(0))
        scores = tuple(torch.cat([own, _inner_products(side, rows, bank)], dim=1) / self.temperature
                       for side, bank in ((student, self.teacher), (teacher, self.student)))
        # The other processes may not validate as many batches.
        mean = self._log_mean(scores, selected, gather=False)
        return self._odds(scores, torch.where(self.log_mean.isnan(), mean, self.log_mean))

    def _odds(self, scores: tuple[Tensor, ...], log_mean: Tensor) -> tuple[Tensor, Tensor]:
        shift = log_mean.to(scores[0].dtype) + math.log(self.negatives)
        return scores[0] - shift[0], scores[1] - shift[1]

    def _draw(self, labels: Tensor | None, selected: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Rows of other classes, ``[B, K]``, each as likely as any other."""
        # Sorted by class, the rows that do not count come first, and a class is one block that is stepped over.
        batch = len(selected)
        classes, order = self.labels.sort(stable=True)
        first = ((classes < 0).sum() * self.complete)[None, None]
        if labels is None:
            begin = end = first.expand(batch, 1)
        else:
            begin = torch.searchsorted(classes, labels.contiguous())[:, None]
            end = torch.searchsorted(classes, labels.contiguous(), right=True)[:, None]
        number = (len(order) - first - (end - begin)).masked_fill(~selected[:, None], 1)
        if batch:
            self._checks.require(
                number.min() > 0, number.min(),
                'ContrastMemory: all images seen are of one class, there is nothing to contrast them with')
        drawn = torch.randint(2**62, (batch, self.negatives), generator=generator, device=order.device)
        drawn = drawn % number.clamp(min=1) + first
        # The samples that are not selected may be of a class that is all there is.
        return order[torch.where(drawn >= begin, drawn + end - begin, drawn).clamp(max=len(order) - 1)]

    @torch.no_grad()
    def _note(self, index: Tensor, labels: Tensor, selected: Tensor) -> Tensor:
        """Store the classes of samples, and whether one of them came before.

        Returns:
            The index, with numbers that are too large replaced by one that is not.
        """
        if not len(index):
            return index
        last = len(self.labels) - 1
        self._checks.require((index <= last).all(), index.max(),
                             f'ContrastMemory has num_samples={last + 1}, but there is an image number {{}}')
        lowest = labels.masked_fill(~selected, 0).min()
        self._checks.require(lowest >= 0, lowest, 'ContrastMemory: classes are counted from 0, there is a label {}')
        index = index.clamp(max=last)
        before = self.labels[index]
        self.complete |= ((before >= 0) & selected).any()
        self.labels[index] = torch.where(selected, labels, before)
        return index

    @torch.no_grad()
    def _remember(self, embedding: Tensor, bank: Tensor, before: '_Before', index: Tensor, selected: Tensor) -> None:
        """Move the rows of samples towards their embeddings."""
        old = bank[index]
        new = nn.functional.normalize(self.momentum * old + (1 - self.momentum) * embedding.to(bank.dtype), dim=1)
        # What has overflowed in half precision must not stay: the optimizer skips that step.
        keep = selected & new.isfinite().all(1)
        before.change(index, old, torch.where(keep[:, None], new, old))

    @torch.no_grad()
    def _log_mean(self, scores: tuple[Tensor, ...], selected: Tensor, gather: bool = True) -> Tensor:
        """``log Z`` of either side, ``[2]``, over all processes; NaN as long as there are no samples."""
        means = []
        for score in scores:
            values, chosen = score.exp().mean(1), selected
            if gather:
                values, chosen = gather_samples(values), gather_samples(chosen)
            mean = values.masked_fill(~chosen, 0).sum() / chosen.sum()
            means.append(mean.log().to(self.log_mean.dtype))
        return torch.stack(means)


class _Before:
    """The rows of a bank before a step changed them in place, for the step's backward pass.

    Args:
        bank: ``[N, D]``.
    """

    def __init__(self, bank: Tensor) -> None:
        self.bank = bank
        self._changed: tuple[Tensor, Tensor, Tensor] | None = None
        self._version = bank._version

    def change(self, index: Tensor, old: Tensor, new: Tensor) -> None:
        """Write rows.

        Args:
            index: ``[B]``, which.
            old: ``[B, D]``, what they are.
            new: ``[B, D]``, what they become.
        """
        self._changed = index, old, new
        self.bank.index_copy_(0, index, new)
        self._version = self.bank._version

    @contextmanager
    def restored(self) -> Iterator[Tensor]:
        """The bank as it was, for as long as this lasts.

        Raises:
            RuntimeError: Another step has changed it, too.
        """
        if self.bank._version != self._version:
            raise RuntimeError('a ContrastMemory was written to by another step before the backward pass of this one')
        rows = self.bank.data  # autograd need not know of this
        if self._changed is None:
            yield rows
            return
        index, old, new = self._changed
        rows.index_copy_(0, index, old)
        yield rows
        rows.index_copy_(0, index, new)


class _InnerProducts(torch.autograd.Function):
    """:func:`_inner_products` with a gradient for the embeddings alone, that of the bank as it was."""

    @staticmethod
    def forward(ctx: Any, embedding: Tensor, rows: Tensor, bank: Tensor, before: _Before) -> Tensor:
        ctx.before = before
        ctx.save_for_backward(rows)
        return _inner_products(embedding, rows, bank)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, = ctx.saved_tensors
        with ctx.before.restored() as bank:
            if _index_is_cheaper(rows, bank):
                parts = [(part[:, None] @ bank[some].to(part.dtype))[:, 0]
                         for part, some in _chunks(gradient, rows, bank)]
                return torch.cat(parts), None, None, None
            whole = gradient.new_zeros(len(rows), len(bank)).scatter_add_(1, rows, gradient)
            return whole @ bank.to(gradient.dtype), None, None, None


def _inner_products(embedding: Tensor, rows: Tensor, bank: Tensor) -> Tensor:
    """``[B, D]``, ``[B, R]`` and ``[N, D]`` to the inner products with these rows, ``[B, R]``."""
    if _index_is_cheaper(rows, bank):
        parts = [(bank[some].to(part.dtype) @ part[..., None])[..., 0] for part, some in _chunks(embedding, rows, bank)]
        return torch.cat(parts)
    # All of them, and then a choice: the rows of all samples would be far larger than the [B, N] that this takes.
    return (embedding @ bank.to(embedding.dtype).t()).gather(1, rows)


def _index_is_cheaper(rows: Tensor, bank: Tensor) -> bool:
    """Whether it moves less memory to copy the rows of each sample than to read the bank and write all products."""
    batch, dim = len(rows), bank.shape[1]
    return batch > 0 and 3 * rows.numel() * dim < len(bank) * (dim + 3 * batch)


def _chunks(values: Tensor, rows: Tensor, bank: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Parts of a batch whose rows are no more than 128 MiB in float32, or one sample."""
    size = max(1, 2**25 // (rows.shape[1] * bank.shape[1]))
    return zip(values.split(size), rows.split(size), strict=True)


def _forget_normalized(memory: ContrastMemory, keys: Any) -> None:
    memory._normalized = None
