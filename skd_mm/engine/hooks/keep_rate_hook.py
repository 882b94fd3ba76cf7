"""The hook that shows where a router distils."""

from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook

from skd_mm.analysis.keep_rates import plot_keep_rates
from skd_mm.analysis.logs import read_run
from skd_mm.registry import HOOKS


@HOOKS.register_module()
class KeepRateHook(Hook):
    """Draws the keep rate of every spot over the epochs, behind each phase.

    The picture, ``keep_rates.png`` in the work directory, is drawn from the run's own log, so that it is whole in a run
    that was resumed. :class:`PhaseLoop` registers this hook by itself where the model has a router. A picture that
    cannot be drawn (a run without a JSON log) does not end a run.
    """

    priority = 'VERY_LOW'

    @master_only
    def after_phase(self, runner: Any) -> None:
        """Draw what has been logged so far."""
        try:
            plot_keep_rates(read_run(runner.work_dir), Path(runner.work_dir) / 'keep_rates.png')
        except (OSError, ValueError) as error:
            runner.logger.warning(f'keep_rates.png is not drawn: {error}')
