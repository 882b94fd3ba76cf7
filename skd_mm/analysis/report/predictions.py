"""What the views of segmentation and detection have in common: several networks that predict on the same images."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .inference import Tested


@dataclass
class Predictions(ABC):
    """Predictions of several networks on the same images.

    Attributes:
        tested: The first network, for its images.
    """

    tested: Tested
    task: ClassVar[str]
    """Name of the task, by which the page chooses how to show the pictures."""

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return list(self.tested.meta['classes'])

    def check(self, tested: Tested) -> None:
        """Check that a network can be compared with the first one.

        Args:
            tested: The network.

        Raises:
            ValueError: It has other classes or images than the first network.
        """
        if list(tested.meta['classes']) != self.classes or tested.indices != self.tested.indices:
            raise ValueError('its classes or images differ from those of the first network')

    def gallery(self, students: Sequence[str], count: int) -> dict[str, Any]:
        """Return pictures of the images on which networks differ most.

        Args:
            students: Names of the networks that are compared, see :meth:`disagreement`.
            count: Number of images.

        Returns:
            Values that JSON can hold: ``kind``, ``legend`` and ``items``.
        """
        differ = self.disagreement(students)
        order = sorted(range(len(differ)), key=lambda i: -differ[i])[:count]
        items = [
            dict(name=self.tested.name(self.tested.indices[i]), differ=round(differ[i], 2), **self.pictures(i))
            for i in order]
        legend = [dict(name=name, colour='#{2:02x}{1:02x}{0:02x}'.format(*colour))
                  for name, colour in zip(self.classes, self.colours(), strict=False)]
        return dict(kind=self.task, legend=legend, items=items)

    def compared(self, students: Sequence[str]) -> list[str]:
        """Return the names of the networks that are compared: the students, or all if there are fewer than two."""
        return list(students) if len(students) > 1 else self.names()

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of the networks."""

    @abstractmethod
    def disagreement(self, students: Sequence[str]) -> list[float]:
        """Return how much networks differ on each image in percent."""

    @abstractmethod
    def colours(self) -> Sequence[Sequence[int]]:
        """Return the colour of each class in BGR."""

    @abstractmethod
    def pictures(self, i: int) -> dict[str, Any]:
        """Return the pictures of one image as data URIs: ``image``, ``truth``, and ``layers`` by network."""
