"""How long the phases of a schedule take: naive, truncated and cached, compared with a plain PyTorch loop.

Every variant sees the same batches, interleaved and in rotating order, so that other load on the machine affects all
of them alike. An iteration includes hooks, parameter schedules and logging, as in a run. It does not include the data
loader, which works in parallel and is timed by itself.
"""

from skd_mm.utils.timing import CLOCKS, interleaved, milliseconds

from .measuring import benchmark, prepare_config
from .scaling import scaling
from .variants import Variant

__all__ = ['CLOCKS', 'Variant', 'benchmark', 'interleaved', 'milliseconds', 'prepare_config', 'scaling']
