"""The hook that plots the keep rates of a router."""

from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook

from skd_mm.analysis.keep_rates import plot_keep_rates
from skd_mm.analysis.logs import read_run
from skd_mm.registry import HOOKS


@HOOKS.register_module()
class KeepRateHook(Hook):
    """Hook that plots the keep rate of every spot over the epochs, after each phase.

    The plot, ``keep_rates.png`` in the work directory, is drawn from the run's own log, so that it is complete in a
    resumed run. :class:`PhaseLoop` registers this hook if the model has a router. If the plot cannot be drawn (in a run
    without a JSON log), the run continues.
    """

    priority = 'VERY_LOW'

    @master_only
    def after_phase(self, runner: Any) -> None:
        """Plot the values that have been logged so far."""
        try:
            plot_keep_rates(read_run(runner.work_dir), Path(runner.work_dir) / 'keep_rates.png')
        except (OSError, ValueError) as error:
            runner.logger.warning(f'keep_rates.png is not drawn: {error}')
