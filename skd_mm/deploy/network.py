"""The part of a model that is exported, and files in its place."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from skd_mm.distillers.inputs import image_normalisation
from skd_mm.tasks import Task, task_of

from .formats import ExportedFile, load_file


class ExportedNetwork(nn.Module):
    """Backbone, neck and head of a model, with normalisation and predicted classes as options.

    Args:
        model: A model of mmsegmentation or mmpretrain, or of any library whose model has a ``'tensor'`` mode.
        normalize: Take images as they are read, with pixels from 0 to 255, and normalise them with mean, standard
            deviation and channel order of the model's data preprocessor. Defaults to False.
        labels: Return the predicted classes instead of logits: maps of the size of the images ``[B, H, W]``, or one per
            image ``[B]``. Defaults to False.

    Raises:
        ValueError: The model is no single network (a detector with two stages), or ``labels`` is set and its
            predictions are no classes.
    """

    def __init__(self, model: nn.Module, normalize: bool = False, labels: bool = False) -> None:
        super().__init__()
        self.model = model
        self.normalize, self.labels = normalize, labels
        self.task = task_of(model)
        self.task.check_single_network(model)
        if labels and type(self.task).labels is Task.labels:
            self.task.labels(model, None, ())
        mean, std, self.flip = image_normalisation(getattr(model, 'data_preprocessor', None))
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer('mean', mean.view(-1, 1, 1), persistent=False)
        self.register_buffer('std', std.view(-1, 1, 1), persistent=False)

    @property
    def metadata(self) -> dict[str, Any]:
        """What an exported file must keep so that it can be tested."""
        return dict(normalize=self.normalize, labels=self.labels, classes=self.task.num_classes(self.model))

    def forward(self, images: Tensor) -> Any:
        """Run the network.

        Args:
            images: ``[B, C, H, W]``, normalised unless ``normalize`` is set.

        Returns:
            What the model returns in ``'tensor'`` mode, or classes.
        """
        if self.normalize:
            images = images.flip(1) if self.flip else images
            images = (images - self.mean) / self.std
        network: Any = self.model
        outputs = network(images, mode='tensor')
        return self.task.labels(self.model, outputs, images.shape[2:]) if self.labels else outputs

    def denormalize(self, images: Tensor) -> Tensor:
        """Return the pixels of normalised images, ``[B, C, H, W]``: the inverse of the normalisation."""
        images = images * self.std + self.mean
        return images.flip(1) if self.flip else images


def use_file(model: nn.Module, file: str | Path, threads: int | None = None) -> ExportedFile:
    """Let a model's predictions run an exported file instead of its own network.

    The data preprocessor, windows, and what follows the head stay those of the model.

    Args:
        model: The model, as its config builds it; it is changed. Its weights do not matter.
        file: A file that was exported from such a model.
        threads: Threads within an operator; PyTorch's number by default.

    Returns:
        The file's network.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be run, or has another number of classes than the model.
    """
    loaded = load_file(file, threads)
    normalize, labels = loaded.metadata.get('normalize', False), loaded.metadata.get('labels', False)
    wrapped = ExportedNetwork(model, normalize, labels)
    _check_classes(wrapped, loaded)

    def network(images: Tensor) -> Any:
        device = images.device
        outputs = loaded(wrapped.denormalize(images.cpu()) if normalize else images.cpu())
        if isinstance(outputs, list) and len(outputs) == 1 and 'outputs' not in loaded.metadata:
            outputs = outputs[0]  # a file of another origin
        if labels:
            outputs = wrapped.task.from_labels(model, outputs)
        return torch.utils._pytree.tree_map(lambda value: value.to(device), outputs)

    wrapped.task.replace_network(model, network)
    return loaded


def _check_classes(wrapped: ExportedNetwork, loaded: ExportedFile) -> None:
    """Compare the number of classes, where it is known."""
    expected = wrapped.task.num_classes(wrapped.model)
    found = loaded.metadata.get('classes')
    if None not in (found, expected) and found != expected:
        raise ValueError(f'{loaded.file} gives {found} classes, and the {type(wrapped.model).__name__} of the config '
                         f'has {expected}')
