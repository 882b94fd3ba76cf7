"""Log lines that say which phase they are from."""

from typing import Any

from mmengine.runner import LogProcessor

from skd_mm.registry import LOG_PROCESSORS


@LOG_PROCESSORS.register_module()
class PhaseLogProcessor(LogProcessor):
    """MMEngine's log processor with the phase's name on every line, on the terminal and in the JSON log.

    Training lines of the JSON log have the epoch, too, counted over the whole run.

    Iterations and ETA are those of the whole run, so that curves of several phases stand in one picture.

    Args:
        **kwargs: As for MMEngine's ``LogProcessor``; ``by_epoch`` is always False, and ``mean_pattern``, what is logged
            as a mean over the window and not as it was last, has the keep rates of a router too.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs['by_epoch'] = False
        kwargs.setdefault('mean_pattern', r'.*(loss|time|data_time|grad_norm|router\.keep).*')
        super().__init__(**kwargs)

    def get_log_after_iter(self, runner: Any, batch_idx: int, mode: str) -> tuple[dict, str]:
        """See MMEngine's ``LogProcessor``."""
        return self._with_phase(runner, mode, *super().get_log_after_iter(runner, batch_idx, mode))

    def get_log_after_epoch(self, runner: Any, batch_idx: int, mode: str,
                            with_non_scalar: bool = False) -> tuple[dict, str]:
        """See MMEngine's ``LogProcessor``."""
        return self._with_phase(runner, mode, *super().get_log_after_epoch(runner, batch_idx, mode, with_non_scalar))

    @staticmethod
    def _with_phase(runner: Any, mode: str, tag: dict, line: str) -> tuple[dict, str]:
        loop = runner._train_loop
        if mode == 'test' or not hasattr(loop, 'phase'):
            return tag, line
        tag['phase'] = loop.phase.name
        if mode == 'train':
            tag['epoch'] = loop.epoch + 1  # the one that is on
        return tag, f'[{loop.index + 1}/{len(loop.phases)} {loop.phase.name}] {line}'
