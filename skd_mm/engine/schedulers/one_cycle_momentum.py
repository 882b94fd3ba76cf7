"""Parameter schedulers that MMEngine lacks."""

from collections.abc import Callable

from mmengine.optim import BaseOptimWrapper
from mmengine.optim.scheduler.momentum_scheduler import MomentumSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import INF, OneCycleParamScheduler, _ParamScheduler
from torch.optim import Optimizer

from skd_mm.registry import PARAM_SCHEDULERS
from skd_mm.utils import did_you_mean


class OneCycleMomentumParamScheduler(OneCycleParamScheduler):
    """The momentum half of OneCycle, for a parameter of any name; see :class:`OneCycleMomentum`.

    MMEngine's ``OneCycleParamScheduler`` refuses any parameter but ``lr`` in its constructor; the stepping and the
    conversion from epochs are used as they are.
    """

    def __init__(self,
                 optimizer: Optimizer | BaseOptimWrapper,
                 param_name: str,
                 base_momentum: float | list[float] = 0.85,
                 max_momentum: float | list[float] = 0.95,
                 total_steps: int | None = None,
                 pct_start: float = 0.3,
                 anneal_strategy: str = 'cos',
                 three_phase: bool = False,
                 begin: int = 0,
                 end: int = INF,
                 last_step: int = -1,
                 by_epoch: bool = True,
                 verbose: bool = False) -> None:
        if total_steps is None:
            if end >= INF:
                raise ValueError('OneCycleMomentum: total_steps is missing; give total_steps, or begin and end')
            total_steps = end - begin
        if not isinstance(total_steps, int) or total_steps <= 0:
            raise ValueError(f'OneCycleMomentum: total_steps={total_steps!r} is not a positive integer')
        if not 0 <= pct_start <= 1:
            raise ValueError(f'OneCycleMomentum: pct_start={pct_start!r} is not between 0 and 1')
        if anneal_strategy not in ('cos', 'linear'):
            raise ValueError(f"OneCycleMomentum: anneal_strategy={anneal_strategy!r} is neither 'cos' nor 'linear'"
                             f"{did_you_mean(anneal_strategy, ('cos', 'linear'))}")
        self.total_steps = total_steps
        self.anneal_strategy = anneal_strategy
        top, bottom = f'max_{param_name}', f'base_{param_name}'
        # The momentum falls while the learning rate rises. As in torch, the first pass ends one step early.
        ends = [pct_start * total_steps - 1, total_steps - 1]
        passes = [(top, bottom), (bottom, top)]
        if three_phase:
            ends.insert(1, 2 * pct_start * total_steps - 2)
            passes.append((top, top))
        self._schedule_phases = [{
            'end_step': end_step,
            f'start_{param_name}': start,
            f'end_{param_name}': stop
        } for end_step, (start, stop) in zip(ends, passes, strict=True)]
        if last_step == -1:
            for key, values in ((top, max_momentum), (bottom, base_momentum)):
                values = self._format_param(key, optimizer, values)
                for group, value in zip(optimizer.param_groups, values, strict=True):
                    group[key] = value
        _ParamScheduler.__init__(self, optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    @property
    def anneal_func(self) -> Callable[[float, float, float], float]:
        """The interpolation; not an attribute, because a function in a checkpoint cannot be loaded safely."""
        return self._annealing_cos if self.anneal_strategy == 'cos' else self._annealing_linear


@PARAM_SCHEDULERS.register_module()
class OneCycleMomentum(MomentumSchedulerMixin, OneCycleMomentumParamScheduler):
    """Scheduler that cycles the momentum against the learning rate of MMEngine's ``OneCycleLR``.

    The two schedulers with the same ``total_steps``, ``pct_start``, ``anneal_strategy`` and ``three_phase`` equal
    ``torch.optim.lr_scheduler.OneCycleLR(cycle_momentum=True)`` step by step. It schedules ``momentum`` in SGD and
    ``betas[0]`` in the Adam family. The policy is that of "Super-Convergence" (arXiv 1708.07120); SKD trains its U-Nets
    with it (arXiv 1911.06786, the method's notes, section 1: optimisation).

    Args:
        optimizer: The optimizer or its wrapper; it must have ``momentum`` or ``betas``.
        base_momentum: Lowest momentum, where the learning rate is highest; a list gives one for each parameter group.
            Default: 0.85.
        max_momentum: Highest momentum, at the start and at the end; a list gives one for each group. Default: 0.95.
        total_steps: Steps in the cycle: iterations, or epochs with ``by_epoch`` (converted by
            ``convert_to_iter_based``). Default: None, ``end - begin``. In a phase of ``skd_mm.PhaseLoop`` the loop
            fills it.
        pct_start: Share of the cycle in which the momentum falls. Default: 0.3.
        anneal_strategy: ``'cos'`` or ``'linear'``. Default: ``'cos'``.
        three_phase: Whether a third pass follows, at the highest momentum. Default: False.
        begin: Step at which the cycle starts. Default: 0.
        end: Step at which it is left. Default: never.
        last_step: The index of the last step, for resuming without a state. Default: -1.
        by_epoch: Whether a step is an epoch. Default: True.
        verbose: Whether each value is printed. Default: False.

    Raises:
        ValueError: If the optimizer has no momentum, or an argument is out of its range.

    Examples:
        >>> param_scheduler = [
        ...     dict(type='OneCycleLR', eta_max=1e-2, total_steps=50, by_epoch=True, convert_to_iter_based=True),
        ...     dict(type='skd_mm.OneCycleMomentum', total_steps=50, by_epoch=True, convert_to_iter_based=True)]
    """
