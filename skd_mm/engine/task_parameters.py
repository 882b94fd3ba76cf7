"""Finds the parameters that the student's own losses reach, before any phase is trained."""

from typing import Any

from skd_mm.utils import derive_seed, temporary_seed

# Two images: a norm after global pooling cannot normalise one.
_IMAGES = 2


def find_task_parameters(loop: Any) -> list[str]:
    """Find which parameters of the student get a gradient from its own losses, with a few training images.

    Parameters without one are not trained: a data-parallel wrapper would wait for their gradients, and weight decay
    would shrink them. If the losses cannot be computed, nothing is changed; the check of the task reports that.

    Args:
        loop: The training loop. Its weights, buffers and the random state stay as they are.

    Returns:
        The names of the parameters that would be trained without a gradient.
    """
    task = next((phase for phase in loop.phases if phase.task), None)
    if task is None:
        return []
    indices = loop.data.labelled(task)[:min(_IMAGES, loop.data.batch_size)]
    distiller = loop.distiller
    # The same on all processes, as all must train the same parameters.
    with temporary_seed(derive_seed(loop.seed, 'task parameters')):
        try:
            samples = [loop.dataloader.dataset[(int(index), loop.seed)] for index in indices]
            data = distiller.data_preprocessor(loop.dataloader.collate_fn(samples), True)
            unreached = distiller.resolver.find_task_parameters(data['inputs'], data['data_samples'])
        except Exception:
            return []
    if unreached:
        loop.runner.logger.warning(
            f'the losses of the student (model.student) do not reach {len(unreached)} of its parameters, which are not '
            f'trained: {unreached[0]!r}' + (' and others' if unreached[1:] else ''))
    return unreached
