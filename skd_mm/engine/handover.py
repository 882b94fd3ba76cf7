"""Handing the weights of one phase over to the next."""

from typing import Any

from mmengine.dist import is_main_process
from mmengine.runner.checkpoint import _load_checkpoint

from skd_mm.schedules import Phase
from skd_mm.utils import from_main_process

from .broadcast import broadcast_state


def hand_over(loop: Any, following: Phase) -> None:
    """Load the checkpoint that the next phase starts from: the best or the last one of the phase that has ended.

    Args:
        loop: The training loop, at the end of a phase.
        following: The next phase.

    Raises:
        FileNotFoundError: The checkpoint does not exist any more.
        RuntimeError: The phase has no best checkpoint.
    """
    # Without validation there is no best checkpoint.
    handover = following.handover if loop.runner.val_loop is not None else 'last'

    def load() -> None:
        # The process that has written the file can read it; other nodes may not see it.
        file = loop.checkpoints.handover_file(loop.runner, loop.phase.name, handover)
        loop.runner.logger.info(f'phase {following.name} starts from {file} ({handover} of {loop.phase.name})')
        weights = _load_checkpoint(str(file), map_location='cpu', logger='silent')['state_dict']
        loop.distiller.load_state_dict(weights)

    from_main_process(load)
    # The data-parallel wrapper broadcasts parameters, but no buffers.
    broadcast_state(loop.distiller)
    if not is_main_process():
        # Modules that keep values derived from their buffers renew them when a state is loaded.
        loop.distiller.load_state_dict(loop.distiller.state_dict())
