"""Teachers whose predictions depend on the label instead of the image."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from skd_mm.losses.base import resize_labels
from skd_mm.registry import MODELS
from skd_mm.tasks import label_of
from skd_mm.utils import DeferredChecks, did_you_mean


class Bank(nn.Module):
    """Several rows of logits for each class, one of which is sampled for a label.

    Args:
        num_classes: Number of classes, ``K``.
        rows: Number of rows per class, ``m``.
        ignore_index: Label of ignored pixels, whose logits are arbitrary. Defaults to 255.
        mean_at: Temperature at which to average the softened distributions of a class; the mean replaces the sampled
            row. Defaults to None, sampling.
        permutation: Seed of a permutation ``π`` of both the rows and their columns: class ``k`` gets the rows of class
            ``π(k)``. Defaults to None, no permutation.

    Attributes:
        logits: ``[K, m, K]``, the content of a checkpoint.
    """

    def __init__(self, num_classes: int, rows: int, ignore_index: int = 255, mean_at: float | None = None,
                 permutation: int | None = None) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.mean_at = mean_at
        self.logits: Tensor
        self.means: Tensor | None
        self.order: Tensor | None
        order = None
        if permutation is not None:
            order = torch.from_numpy(np.random.RandomState(permutation).permutation(num_classes))
        self.register_buffer('logits', torch.randn(num_classes, rows, num_classes))
        self.register_buffer('means', None, persistent=False)
        self.register_buffer('order', order, persistent=False)
        self._checks = DeferredChecks()
        self.prepare()
        self.register_load_state_dict_post_hook(lambda bank, keys: bank.prepare())

    def prepare(self) -> None:
        """Compute the means of the rows if ``mean_at`` is set; also called after loading a checkpoint."""
        if self.mean_at is not None:
            logs = (self.logits / self.mean_at).log_softmax(-1)
            mean = logs.logsumexp(1, keepdim=True) - math.log(logs.shape[1])
            self.means = self.mean_at * mean  # the logits whose softened distribution is the mean

    def forward(self, labels: Tensor) -> Tensor:
        """Sample a row for each class and image.

        Args:
            labels: ``[B]``, or ``[B, H, W]`` for dense predictions; all pixels of a class in an image get the same row.

        Returns:
            Logits ``[B, K]`` or ``[B, K, H, W]``.

        Raises:
            ValueError: A label is not a class of the bank. On an accelerator this is reported with the next batch.
        """
        self._checks.check()
        table = self.logits if self.means is None else self.means
        classes, rows, _ = table.shape
        if labels.dim() > 1:
            labels = labels.masked_fill(labels == self.ignore_index, 0)
        if labels.numel():
            lowest, highest = labels.aminmax()
            self._checks.require(
                (lowest >= 0) & (highest < classes), torch.where(lowest < 0, lowest, highest),
                f'model.teacher: there is a label {{}}, but the teacher has the classes 0 to {classes - 1} '
                f'(`num_classes={classes}`)')
        labels = labels.clamp(0, classes - 1)
        if rows > 1:
            # From the global generator, whose state is a function of the step and the process.
            per_class = torch.randint(rows, (len(labels), classes), device=labels.device)
            row = per_class.gather(1, labels.reshape(len(labels), -1)).view_as(labels)
        else:
            row = torch.zeros_like(labels)
        if self.order is None:
            return table[labels, row].movedim(-1, 1)
        return table[self.order[labels], row][..., self.order].movedim(-1, 1)


class LabelTeacher(BaseModel):
    """A teacher whose logits depend on the label only; its module for spots is ``bank``.

    Args:
        bank: Its logits.
        stride: For dense predictions, the stride of the student's logits in pixels of the label. Defaults to None, one
            label per image.

    Attributes:
        num_classes: Number of classes.
        random: Whether its logits for a sample differ each time, so that they cannot be cached.
    """

    def __init__(self, bank: Bank, stride: int | None = None) -> None:
        super().__init__()
        self.data_preprocessor = None  # it does not use the image
        if stride is not None and stride < 1:
            raise ValueError(f'model.teacher: `stride` must be 1 or more, not {stride}')
        self.stride = stride
        self.bank = bank
        self.num_classes = len(bank.logits)
        self.random = bank.means is None and bank.logits.shape[1] > 1

    def forward(self, inputs: Tensor, data_samples: Sequence[Any] | None = None, mode: str = 'tensor') -> Tensor:
        """Return the logits of the labels.

        Args:
            inputs: ``[B, C, H, W]``; only its size is used.
            data_samples: One data sample per image, with its label. Defaults to None: every label is class 0.
            mode: ``'tensor'``.

        Returns:
            Logits ``[B, K]``, or ``[B, K, ceil(H / stride), ceil(W / stride)]``.

        Raises:
            ValueError: An image has no label, or several.
        """
        dense = self.stride is not None
        if data_samples is None:
            shape = (len(inputs), *inputs.shape[2:]) if dense else inputs.shape[:1]
            labels = torch.zeros(shape, dtype=torch.long, device=inputs.device)
        else:
            labels = self._stack_labels(data_samples).to(inputs.device)
        if self.stride is not None:
            labels = resize_labels(labels, [-(-size // self.stride) for size in labels.shape[1:]])
        return self.bank(labels)

    def _stack_labels(self, data_samples: Sequence[Any]) -> Tensor:
        dims, needed = 0, 'label per image (an image mixed from several has more)'
        if self.stride is not None:
            dims, needed = 2, 'label map per image'
        labels = []
        for sample in data_samples:
            label = label_of(sample)
            if label is None or label.dim() != dims:
                raise ValueError(f'model.teacher: {type(self).__name__} needs one {needed}')
            labels.append(label)
        return torch.stack(labels)


@MODELS.register_module()
class TargetBank(LabelTeacher):
    """LW-KD's soft targets: for each class, a bank of logits that a lightweight teacher predicted for synthetic images.

    For an image of class ``y`` it returns a random row of ``Z[y]``. The network that predicted the rows never sees the
    student's images, and does not run while the student is trained. LW-KD's abstract (arXiv 2005.09163) says that a
    lightweight teacher, trained on synthetic data, generates the soft targets; the bank, the sampling and all options
    are our own design.

    A ``prelude`` makes its checkpoint, see :mod:`skd_mm.engine.prelude`.

    Args:
        num_classes: Number of classes, ``K``, at least 2.
        rows: Number of rows per class, ``m``. Defaults to 100.
        target: ``'sampled'``, or ``'mean'``: the mean of the class's softened distributions, with which the KD loss has
            the expected gradient of ``'sampled'``. Defaults to ``'sampled'``.
        temperature: Temperature at which to soften them for the mean; that of the spot's loss. Defaults to 4.
        permutation: Seed of a permutation of the synthetic classes, in rows and columns, so that the highest logit
            remains that of the label: a control experiment. Defaults to None, no permutation.
        stride: For dense predictions, see :class:`LabelTeacher`.
        ignore_index: Label of ignored pixels. Defaults to 255.

    Raises:
        ValueError: A number or a name is invalid.

    Example:
        >>> model = dict(
        ...     type='skd_mm.Distiller',
        ...     teacher=dict(type='skd_mm.TargetBank', num_classes=100, checkpoint='prelude/bank.pth'),
        ...     spots=[dict(name='logits', student='head.fc', teacher='bank', loss=dict(type='KDLoss'))])
    """

    def __init__(self, num_classes: int, rows: int = 100, target: str = 'sampled', temperature: float = 4.0,
                 permutation: int | None = None, stride: int | None = None, ignore_index: int = 255) -> None:
        _require_classes('TargetBank', num_classes)
        if rows < 1:
            raise ValueError(f'TargetBank: `rows` must be 1 or more, not {rows}')
        if target not in ('sampled', 'mean'):
            raise ValueError(f"TargetBank: `target` must be 'sampled' or 'mean', not {target!r}"
                             f"{did_you_mean(target, ('sampled', 'mean'))}")
        mean_at = temperature if target == 'mean' else None
        super().__init__(Bank(num_classes, rows, ignore_index, mean_at, permutation), stride)
        self.rows = rows


@MODELS.register_module()
class VirtualTeacher(LabelTeacher):
    """Virtual teacher of Tf-KD reg: the correct class has probability ``correct``, the others share the rest.

    "Revisit Knowledge Distillation: a Teacher-free Framework", arXiv 1909.11723. Its logits are the logarithms of the
    probabilities: a loss at temperature 1 sees the probabilities, one at a higher temperature sees them softened. This
    is our interpretation of the paper.

    Args:
        num_classes: Number of classes, at least 2.
        correct: Probability of the correct class, in (1 / num_classes, 1). Defaults to 0.99.
        stride: For dense predictions, see :class:`LabelTeacher`.
        ignore_index: Label of ignored pixels. Defaults to 255.

    Raises:
        ValueError: A number is invalid.

    Example:
        >>> teacher = dict(type='skd_mm.VirtualTeacher', num_classes=100)
        >>> spots = [dict(student='head.fc', teacher='bank', loss=dict(type='KDLoss', temperature=20))]
    """

    def __init__(self, num_classes: int, correct: float = 0.99, stride: int | None = None,
                 ignore_index: int = 255) -> None:
        _require_classes('VirtualTeacher', num_classes)
        if not 1 / num_classes < correct < 1:
            raise ValueError(f'VirtualTeacher: `correct` must be between 1 / {num_classes} and 1, not {correct}')
        super().__init__(Bank(num_classes, 1, ignore_index), stride)
        is_correct = torch.eye(num_classes, dtype=torch.bool)
        rest = (1 - correct) / (num_classes - 1)
        self.bank.logits.copy_(torch.where(is_correct, math.log(correct), math.log(rest))[:, None])


def _require_classes(name: str, num_classes: int) -> None:
    if not isinstance(num_classes, int) or num_classes < 2:
        raise ValueError(f'{name}: `num_classes` must be an integer of at least 2, not {num_classes!r}')
