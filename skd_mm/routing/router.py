"""The router of spot-adaptive distillation."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as torch_dist
from mmengine.dist import get_world_size
from torch import Tensor, nn
from torch.nn import functional as F

from skd_mm.connectors import Resize
from skd_mm.connectors.chain import connected
from skd_mm.connectors.pooling import pooled
from skd_mm.connectors.shapes import channels, scale
from skd_mm.registry import CONNECTORS, MODELS, build
from skd_mm.utils import did_you_mean, to_device

from .gates import GATES
from .policy import Policy

# The batch of SAKD's experiments, at which its sum over the batch and the mean here weigh the same.
_BATCH = 64
_REDUCTIONS = ('sum', 'mean')


@MODELS.register_module()
class Router(nn.Module):
    """Router that decides for every sample at which spots it is distilled.

    Spot-adaptive knowledge distillation (SAKD: Song et al., IEEE TIP 2022, arXiv 2205.02399). With ``gate='policy'`` a
    :class:`Policy` opens or closes each spot's gate for each sample. A second, *multi-path* pass through both networks
    trains the policy: after a spot, a sample continues with the teacher's feature if its gate is open and with the
    student's if it is closed; adapters translate between the two. The policy learns which path classifies best. The
    student is trained by its own pass and the gated spots only, the policy and the adapters by the multi-path pass
    only, in one backward pass and one step of one optimizer.

    All spots of the model are routed, in the order of the forward pass, and the last one must be at the logits. Policy
    and adapters are saved in checkpoints but not exported. To set their learning rate, use their name::

        optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'router': dict(lr_mult=0.5, decay_mult=2)}))

    For dense predictions (an extension to the paper), there is one gate per image, adapters are 1×1 convolutions with
    BN and ReLU, resized to the resolution of the reference, and each decode head gets the stage outputs of its own
    branch.

    Args:
        gate: ``'policy'``; ``'always'`` or ``'never'`` distil all samples or none; ``'random'`` each with probability
            ``keep``; ``'anti'`` those that the policy, which is trained as usual, does not select. Only ``'policy'``
            and ``'anti'`` train a policy and need a multi-path pass. Defaults to ``'policy'``.
        keep: With ``'random'``, the probability, one for all spots or by the name of the spot. Defaults to 0.5.
        tau: See :class:`Policy`. Defaults to 5.
        teacher_bias: See :class:`Policy`. Defaults to 0.
        gamma: With the loss ``R`` of the multi-path pass and ``C`` of the student, ``R`` is multiplied by ``γ`` if
            it is greater than ``C``, and divided by it if it is less. Defaults to 1.
        keep_reduction: The hinge that keeps half of the batch at the logits: ``'sum'`` is
            ``max(0, B / 2 - Σ_b a_b)``, which grows with the batch; ``'mean'`` is ``64 · max(0, 1 / 2 - mean_b a_b)``,
            the same at the paper's batch of 64. Defaults to ``'sum'``, as in the authors' code.
        policy_input: Names of the modules whose pooled outputs are the policy's input, one for both networks or
            ``dict(student=..., teacher=...)``. Defaults to a classifier's global pooling, or else to the last stage of
            the backbone.
        spots: Names of the spots; filled in by the distiller, like all below.
        student: Examples of the student's features at the ends of the spots, ``[1, C, ...]``.
        teacher: The same of the teacher.
        policy_channels: Channels of both pooled features together.

    Raises:
        ValueError: A choice is unknown, ``keep`` names no spot, or an adapter cannot be made.
    """

    def __init__(self,
                 spots: Sequence[str],
                 student: Sequence[Tensor],
                 teacher: Sequence[Tensor],
                 policy_channels: int,
                 gate: str = 'policy',
                 keep: float | Mapping[str, float] = 0.5,
                 tau: float = 5.0,
                 teacher_bias: float = 0.0,
                 gamma: float = 1.0,
                 keep_reduction: str = 'sum',
                 policy_input: str | Mapping[str, str] | None = None) -> None:
        super().__init__()
        for key, value, choices in (('gate', gate, GATES), ('keep_reduction', keep_reduction, _REDUCTIONS)):
            if value not in choices:
                raise ValueError(f'model.router.{key} must be one of {choices}, not {value!r}'
                                 f'{did_you_mean(value, choices)}')
        keeps = keep if isinstance(keep, Mapping) else dict.fromkeys(spots, keep)
        for name, probability in keeps.items():
            if name not in spots:
                raise ValueError(f'model.router.keep: there is no spot {name!r}{did_you_mean(name, spots)} '
                                 f'(there are {list(spots)})')
            if not 0 <= probability <= 1:
                raise ValueError(f'model.router.keep: a probability must be in [0, 1], not {probability!r}')
        if not gamma > 0:
            raise ValueError(f'model.router.gamma must be greater than 0, not {gamma!r}')
        self.spots = list(spots)
        self.gate = gate
        self.keep = [float(keeps.get(name, 0.5)) for name in spots]
        self.gamma = gamma
        self.keep_reduction = keep_reduction
        if self.learns:
            self.policy = Policy(policy_channels, len(self.spots), tau, teacher_bias)
            if student[-1].shape[1] != teacher[-1].shape[1]:
                raise ValueError(f'model.router: the logits at {self.spots[-1]!r} have {student[-1].shape[1]} classes '
                                 f'in the student and {teacher[-1].shape[1]} in the teacher')
            self.resize = Resize()
            dense = student[-1].dim() == 4
            pairs = list(zip(self.spots, student, teacher, strict=True))[:-1]
            self.to_student = nn.ModuleList(_adapter(name, theirs, own, dense) for name, own, theirs in pairs)
            self.to_teacher = nn.ModuleList(_adapter(name, own, theirs, dense) for name, own, theirs in pairs)

    @property
    def learns(self) -> bool:
        """Whether there is a policy, and with it a multi-path pass."""
        return self.gate in ('policy', 'anti')

    def draw(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Draw a batch's gates.

        Args:
            student: ``[B, C_S, ...]``, the policy's input from the student; pooled here.
            teacher: ``[B, C_T, ...]``, that from the teacher.

        Returns:
            ``[B, spots]``, 1 if a sample's gate is open, else 0; with a gradient if there is a policy.
        """
        if self.learns:
            return self.policy(pooled(student), pooled(teacher))
        open_ = to_device(dict(always=[1.0], never=[0.0]).get(self.gate, self.keep), student.device)
        return torch.bernoulli(open_.expand(len(student), len(self.spots)))

    def distilled(self, gates: Tensor) -> dict[str, Tensor]:
        """Return which samples are distilled at which spot.

        Args:
            gates: The result of :meth:`draw`.

        Returns:
            ``[B]`` of booleans by the name of the spot.
        """
        chosen = gates.detach() < 0.5 if self.gate == 'anti' else gates.detach() > 0.5
        return dict(zip(self.spots, chosen.unbind(1), strict=True))

    def mix(self, gates: Tensor, student: Callable[[Sequence[Tensor]], Tensor],
            teacher: Callable[[Sequence[Tensor]], Tensor]) -> list[Tensor]:
        """Run the multi-path pass.

        After each spot, both networks continue with ``u_T = (1 - a) φ(o_S) + a o_T`` and
        ``u_S = (1 - a) o_S + a ψ(o_T)``, where ``o`` are the outputs of their stages and ``φ`` and ``ψ`` the adapters;
        the logits are ``(1 - a) o_S + a o_T``. Features are blended and never indexed, so that BN gets whole batches
        and every adapter gets a gradient.

        Args:
            gates: ``[B, spots]``.
            student: Runs the student's next stage, given the features at the ends of all stages before it.
            teacher: The same for the teacher.

        Returns:
            The student's mixed features at each spot; the last one is the logits.
        """
        to_student: list[Tensor] = []
        to_teacher: list[Tensor] = []
        for k in range(len(self.spots)):
            own, theirs = student(to_student), teacher(to_teacher)
            gate = gates[:, k].to(own.dtype)
            if k + 1 == len(self.spots):
                to_student.append(_blend(gate, own, self.resize(theirs, own)))
                break
            to_student.append(_blend(gate, own, connected(self.to_student[k], theirs, own)))
            to_teacher.append(_blend(gate, connected(self.to_teacher[k], own, theirs), theirs))
        return to_student

    def losses(self, mixed: Tensor, own: Tensor, gates: Tensor) -> dict[str, Tensor]:
        """Return the losses of the policy and the adapters.

        With several processes, ``R`` and ``C`` are compared by their means, and the hinge is that of the global batch
        divided by the number of processes. After averaging, the gradients equal those of one process.

        Args:
            mixed: ``R``, the task loss of the multi-path pass.
            own: ``C``, the student's.
            gates: ``[B, spots]``.

        Returns:
            ``router.loss`` and ``router.keep_loss``, and ``router.ratio``, ``R / C``, for the log.
        """
        world = get_world_size()
        means = torch.stack([mixed, own]).detach().float()
        kept = gates[:, -1].float()
        total, batch = kept.sum(), kept.new_full((), len(kept))
        if world > 1:
            everyone = torch.cat([means / world, total.detach()[None], batch[None]])
            torch_dist.all_reduce(everyone)
            means, everywhere, batch = everyone[:2], everyone[2], everyone[3]
            # The value of all processes; the gradient `world` times as great, as the wrapper divides it by that.
            total = world * total + (everywhere - world * total.detach())
        factor = torch.where(means[0] > means[1], self.gamma, torch.where(means[0] < means[1], 1 / self.gamma, 1.0))
        if self.keep_reduction == 'sum':
            hinge = F.relu(batch / 2 - total) / world
        else:
            hinge = _BATCH * F.relu(0.5 - total / batch)
        return {'router.loss': factor * mixed, 'router.keep_loss': hinge, 'router.ratio': means[0] / means[1]}


def _blend(gate: Tensor, closed: Tensor, open_: Tensor) -> Tensor:
    gate = gate.view(-1, *[1] * (closed.dim() - 1))
    return (1 - gate) * closed + gate * open_


def _adapter(spot: str, feature: Tensor, reference: Tensor, dense: bool) -> nn.ModuleList:
    """Build an adapter from one network's feature to the other's."""
    if feature.dim() != reference.dim() or feature.dim() not in (2, 3, 4):
        raise ValueError(f'model.router: no adapter leads from {list(feature.shape[1:])} to '
                         f'{list(reference.shape[1:])} at the spot {spot!r}')
    if feature.dim() == 4:
        cfgs: list[dict[str, Any]] = [dict(type='ConvReg', scale=1 if dense else scale(feature, reference)),
                                      dict(type='Resize')]
    else:
        if feature.dim() == 3 and feature.shape[1] != reference.shape[1]:
            raise ValueError(f'model.router: at the spot {spot!r} one network has {feature.shape[1]} tokens and the '
                             f'other {reference.shape[1]}; there is no adapter for that')
        cfgs = [dict(type='Linear')]
    return nn.ModuleList(build(CONNECTORS, cfg, in_channels=channels(feature), out_channels=channels(reference))
                         for cfg in cfgs)
