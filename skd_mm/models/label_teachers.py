"""Teachers that look at the label and not at the image."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from skd_mm.losses.base import resize_labels
from skd_mm.registry import MODELS
from skd_mm.utils import DeferredChecks, did_you_mean, label_of


class Bank(nn.Module):
    """Rows of logits for every class, of which one is drawn for a label.

    Args:
        num_classes: How many classes, ``K``.
        rows: Rows of each class, ``m``.
        ignore_index: The label of pixels that do not count; they get some row. Defaults to 255.
        mean_at: Instead of a row, the mean of the distributions of a class, softened at this temperature. None (the
            default) draws.
        permutation: Seed of a permutation ``π``: class ``k`` is played by class ``π(k)`` of the rows, and by that of
            their columns. None (the default) for none.

    Attributes:
        logits: ``[K, m, K]``, what a checkpoint holds.
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
        """Makes the means of the rows, if these are wanted; also called behind each load."""
        if self.mean_at is not None:
            logs = (self.logits / self.mean_at).log_softmax(-1)
            mean = logs.logsumexp(1, keepdim=True) - math.log(logs.shape[1])
            self.means = self.mean_at * mean  # the logits whose softened distribution is the mean

    def forward(self, labels: Tensor) -> Tensor:
        """Draws a row for each class and sample.

        Args:
            labels: ``[B]``, or ``[B, H, W]`` for dense predictions, where all pixels of a class in an image have the
                same row.

        Returns:
            Logits ``[B, K]`` or ``[B, K, H, W]``.

        Raises:
            ValueError: A label is no class of the bank. On an accelerator this is reported with the next batch.
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
            draws = torch.randint(rows, (len(labels), classes), device=labels.device)
            draws = draws.gather(1, labels.flatten(1) if labels.dim() > 1 else labels[:, None]).view_as(labels)
        else:
            draws = torch.zeros_like(labels)
        if self.order is None:
            return table[labels, draws].movedim(-1, 1)
        return table[self.order[labels], draws][..., self.order].movedim(-1, 1)


class LabelTeacher(BaseModel):
    """A teacher whose logits depend on the label alone; its one module, for spots to name, is ``bank``.

    Args:
        bank: What it reads.
        stride: For dense predictions: how many pixels of the label, in each direction, a position of the student's
            logits has. None (the default) for one label an image.

    Attributes:
        num_classes: How many classes it knows.
        random: Whether its answer to a sample is another one each time, so that it cannot be kept.
    """

    def __init__(self, bank: Bank, stride: int | None = None) -> None:
        super().__init__()
        self.data_preprocessor = None  # there is no image that it would want in another form
        if stride is not None and stride < 1:
            raise ValueError(f'model.teacher: `stride` must be 1 or more, not {stride}')
        self.stride = stride
        self.bank = bank
        self.num_classes = len(bank.logits)
        self.random = bank.means is None and bank.logits.shape[1] > 1

    def forward(self, inputs: Tensor, data_samples: Sequence[Any] | None = None, mode: str = 'tensor') -> Tensor:
        """Looks the labels up.

        Args:
            inputs: ``[B, C, H, W]``; only its size is looked at.
            data_samples: One data sample an image, with its label. Without them all are of class 0.
            mode: ``'tensor'``.

        Returns:
            Logits ``[B, K]``, or ``[B, K, ceil(H / stride), ceil(W / stride)]``.

        Raises:
            ValueError: An image has no label, or several.
        """
        if data_samples is None:
            shape = inputs.shape[:1] if self.stride is None else (len(inputs), *inputs.shape[2:])
            labels = torch.zeros(shape, dtype=torch.long, device=inputs.device)
        else:
            dims = 0 if self.stride is None else 2
            found = [label for label in map(label_of, data_samples) if label is not None and label.dim() == dims]
            if len(found) < len(data_samples):
                kind = 'label an image (an image that is mixed of several has more)' if self.stride is None else \
                    'map of labels an image'
                raise ValueError(f'model.teacher: a {type(self).__name__} needs one {kind}')
            labels = torch.stack(found).to(inputs.device)
        if self.stride is not None:
            labels = resize_labels(labels, [-(-size // self.stride) for size in labels.shape[1:]])
        return self.bank(labels)


@MODELS.register_module()
class TargetBank(LabelTeacher):
    """LW-KD's soft targets: logits that a lightweight teacher gave for synthetic images, a bank of them for each class.

    For an image of class ``y`` it gives a random row of ``Z[y]``. The network that made the rows never sees the
    student's images, and never runs while the student learns. That a lightweight teacher, trained on synthetic data,
    generates the soft targets is from LW-KD's abstract (arXiv 2005.09163); the bank, how a target is drawn from it, and
    all options are this project's design.

    Its checkpoint is made by a ``prelude``, see :mod:`skd_mm.engine.prelude`.

    Args:
        num_classes: How many classes, ``K``, from 2 on.
        rows: Rows of each class, ``m``. Defaults to 100.
        target: ``'sampled'``, or ``'mean'``: the mean of the class's softened distributions, with which the gradient of
            the KD loss is what it is with ``'sampled'`` in expectation. Defaults to ``'sampled'``.
        temperature: At which they are softened for the mean; that of the spot's loss. Defaults to 4.
        permutation: Seed of a permutation of the synthetic classes, in rows and columns, so that the highest logit
            stays where it belongs: a control, for the numbers mean nothing. None (the default) for none.
        stride: For dense predictions, see :class:`LabelTeacher`.
        ignore_index: The label of pixels that do not count. Defaults to 255.

    Raises:
        ValueError: A number or a name makes no sense.

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
        super().__init__(Bank(num_classes, rows, ignore_index, temperature if target == 'mean' else None, permutation),
                         stride)
        self.rows = rows


@MODELS.register_module()
class VirtualTeacher(LabelTeacher):
    """Tf-KD reg's virtual teacher: the right class has probability ``correct``, the others share the rest.

    "Revisit Knowledge Distillation: a Teacher-free Framework", arXiv 1909.11723. Its logits are the logarithms of the
    probabilities, so that a loss at temperature 1 sees these, and one at a higher temperature sees them softened; that
    reading is this project's.

    Args:
        num_classes: How many classes, from 2 on.
        correct: Probability of the right class, in (1 / num_classes, 1). Defaults to 0.99.
        stride: For dense predictions, see :class:`LabelTeacher`.
        ignore_index: The label of pixels that do not count. Defaults to 255.

    Raises:
        ValueError: A number makes no sense.

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
        right = torch.eye(num_classes, dtype=torch.bool)
        rest = (1 - correct) / (num_classes - 1)
        self.bank.logits.copy_(torch.where(right, math.log(correct), math.log(rest))[:, None])


def _require_classes(name: str, num_classes: int) -> None:
    if not isinstance(num_classes, int) or num_classes < 2:
        raise ValueError(f'{name}: `num_classes` must be a whole number from 2 on, not {num_classes!r}: with one class '
                         'there is nothing to tell apart')
