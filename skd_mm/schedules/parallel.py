"""All stages at the same time, each on the teacher's features as its inputs."""

from collections.abc import Sequence

from skd_mm.registry import RECIPES

from .phase import Phase
from .stagewise import Stagewise, Step

NAME = 'stages'


@RECIPES.register_module()
class ParallelStages(Stagewise):
    """All stages in one phase, each on the teacher's features as its inputs, then the task head.

    The first phase, named ``stages``, trains what :class:`Stagewise` trains one stage after the other: after each spot
    the student continues with the teacher's feature, so that no stage depends on the others, and a single pass over the
    data trains all of them. The later stages see their true inputs, the student's own features, only in validation and
    from the next phase on: a ``polish`` adapts them.

    With DDP each process trains all stages on its part of the batch, which balances better than a process per stage.
    Where the networks have different widths, spots need an ``input_connector``.

    Parallel training of blocks on the teacher's features is that of Blakeney et al. (arXiv 2012.03096). The phases and
    the polish are ours.

    Args:
        **kwargs: As for :class:`Stagewise`; ``phase_epochs`` or ``phase_iters`` is the length of ``stages``.

    Example:
        >>> schedule = dict(type='ParallelStages', phase_epochs=50, polish=dict(epochs=50))
    """

    def stage_phases(self, steps: Sequence[Step]) -> list[Phase]:
        """Return one phase for all stages."""
        spots = {name: weight for _, _, weights in steps for name, weight in weights.items()}
        return [self.phase(NAME, [stage for _, stages, _ in steps for stage in stages], spots=spots,
                           teacher_forcing=list(spots))]
