"""Log lines that name their phase."""

import re
from typing import Any

from mmengine.runner import LogProcessor

from skd_mm.registry import LOG_PROCESSORS


@LOG_PROCESSORS.register_module()
class PhaseLogProcessor(LogProcessor):
    """MMEngine's log processor with the phase's name on every line, on the terminal and in the JSON log.

    Training lines of the JSON log also have the epoch, counted over the whole run. Iterations and ETA are those of the
    whole run, so that one plot shows the curves of all phases. Metrics of a validation are logged as they are;
    MMEngine's would log a loss among them as the mean over several validations.

    Args:
        **kwargs: Arguments of MMEngine's ``LogProcessor``. ``by_epoch`` is always False. ``mean_pattern``, the values
            of training that are logged as means over a window, also matches the keep rates of a router by default.
    """

    mean_pattern: Any

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

    def _collect_scalars(self, custom_cfg: Any, runner: Any, mode: str, reserve_prefix: bool = False) -> dict:
        of_training = self.mean_pattern
        if mode != 'train':
            self.mean_pattern = re.compile('^(data_)?time$')
        try:
            return super()._collect_scalars(custom_cfg, runner, mode, reserve_prefix)
        finally:
            self.mean_pattern = of_training

    @staticmethod
    def _with_phase(runner: Any, mode: str, tag: dict, line: str) -> tuple[dict, str]:
        loop = runner._train_loop
        if mode == 'test' or not hasattr(loop, 'phase'):
            return tag, line
        tag['phase'] = loop.phase.name
        if mode == 'train':
            tag['epoch'] = loop.epoch + 1  # the current one
        return tag, f'[{loop.index + 1}/{len(loop.phases)} {loop.phase.name}] {line}'
