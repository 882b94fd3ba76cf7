"""Visualization backends that take nothing but numbers."""

from collections.abc import Mapping
from typing import Any

from mmengine.visualization import LocalVisBackend, Visualizer


class ScalarBackend:
    """A visualization backend that gets the number of a phase instead of its name.

    A line of the JSON log names its phase. The backends of trackers such as MLflow, ClearML, Neptune and TensorBoard
    refuse or skip text.

    Args:
        backend: The backend, to which all calls go.
        numbers: The number of each phase by name.
    """

    def __init__(self, backend: Any, numbers: Mapping[str, int]) -> None:
        self.backend = backend
        self.numbers = numbers

    def __getattr__(self, name: str) -> Any:
        if name == 'backend':  # of a copy that is not filled yet
            raise AttributeError(name)
        return getattr(self.backend, name)

    def add_scalars(self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None,
                    **kwargs: Any) -> None:
        """Records scalars.

        Args:
            scalar_dict: The scalars by name. Text other than that of ``phase`` is omitted.
            step: The global step.
            file_path: Not used by these backends.
            **kwargs: Further arguments of the backend.
        """
        scalars = dict(scalar_dict)
        if scalars.get('phase') in self.numbers:
            scalars['phase'] = self.numbers[scalars['phase']]
        scalars = {name: value for name, value in scalars.items() if not isinstance(value, str)}
        self.backend.add_scalars(scalars, step, file_path, **kwargs)


def number_phases(visualizer: Visualizer, names: list[str]) -> None:
    """Let all backends except the JSON log write the number of a phase, from 1, instead of its name.

    Args:
        visualizer: The runner's visualizer. Its backends are replaced.
        names: The names of the phases in their order.
    """
    numbers = {name: i for i, name in enumerate(names, 1)}
    for key, backend in visualizer._vis_backends.items():
        if not isinstance(backend, LocalVisBackend):
            # A run of the same process may have left its visualizer.
            inner = backend.backend if isinstance(backend, ScalarBackend) else backend
            visualizer._vis_backends[key] = ScalarBackend(inner, numbers)  # type: ignore[assignment]
