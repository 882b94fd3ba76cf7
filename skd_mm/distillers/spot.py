"""A spot: a named place where the student is compared with the teacher."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from skd_mm.connectors.chain import connected
from skd_mm.connectors.shapes import channels
from skd_mm.features import ImageSizes
from skd_mm.losses import Feature, MSELoss, SpotLoss
from skd_mm.losses.base import mean_of_selected, parts, shapes
from skd_mm.registry import LOSSES, MEMORIES, MODELS, build
from skd_mm.routing import gated

from .spot_connectors import ConnectorConfig, accepted, build_connectors, build_input_connector, build_sides

Modules = str | tuple[str, ...]


class Setting(NamedTuple):
    """What a spot needs to know of the networks.

    Attributes:
        num_classes: Number of the student's classes, for a loss or memory that takes ``num_classes``; None if unknown.
        images: The sizes of the images that the examples of features were computed from; None if unknown.
    """

    num_classes: int | None = None
    images: ImageSizes | None = None


class Spot(nn.Module):
    """Two modules, what makes their features comparable, and the loss between them.

    Args:
        name: Its name in schedules and logs; the student's module name by default.
        student: Names of modules of the student, see :class:`skd_mm.features.FeatureExtractor`: one, or as many as the
            loss needs, in the order of the forward pass.
        teacher: Names of modules of the teacher; the same names by default.
        loss: Config of a loss; :class:`skd_mm.losses.MSELoss` by default.
        connector: Config of a connector, or a list of them, applied to the student's feature; ``'auto'`` chooses
            connectors for both sides that bridge what differs: layout, channels and resolution, see
            :func:`skd_mm.connectors.auto.auto_connectors`. None by default.
        teacher_connector: The same on the teacher's side.
        features: An example of the student's feature, ``[1, C, ...]``, and of the teacher's; they give the connectors
            their channels. Each is a tuple if there are several modules. The teacher's is None without a teacher, when
            nothing can be checked.
        memory: Config of a memory of samples from earlier batches, see :mod:`skd_mm.memories`; None by default.
        teacher_decoder: Config of a connector, or a list of them, that maps the output of the teacher's
            connector back to the teacher's feature. With it, the teacher's connector is trained to reconstruct the
            feature, in phases in which ``<name>.teacher`` is active (:class:`Reconstruction`), and is frozen if the
            spot itself is active.
        discriminator: Config of a network that distinguishes the teacher's logits from the student's. It is trained,
            and the student is trained to deceive it, in phases in which ``<name>.discriminator`` is active
            (:mod:`skd_mm.distillers.discriminators`). None by default.
        input_connector: Config of a connector, or a list of them, that maps the teacher's feature, as its module
            returns it, to the student's, for phases in which the student continues with the teacher's feature
            (``teacher_forcing``); it is trained there to predict the student's feature. ``'auto'`` chooses it. None
            (the default) is enough for features of one shape.
        weight: The loss's own weight (a method's β), times that which a phase gives the spot. Defaults to 1.
        setting: What is known of the networks; nothing by default.

    Raises:
        ValueError: The features cannot be compared; the message names connectors that would make them comparable.
    """

    def __init__(self, name: str, student: Modules, teacher: Modules, loss: Mapping[str, Any],
                 connector: ConnectorConfig,
                 teacher_connector: ConnectorConfig,
                 features: tuple[Feature, Feature | None],
                 memory: Mapping[str, Any] | None = None,
                 teacher_decoder: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
                 discriminator: Mapping[str, Any] | None = None,
                 input_connector: ConnectorConfig = None,
                 weight: float = 1.0,
                 setting: Setting | None = None) -> None:
        super().__init__()
        num_classes, images = setting or Setting()
        self.name = name
        self.weight = float(weight)
        self.student = student
        self.teacher = teacher
        student_feature, teacher_feature = features
        reference = student_feature if teacher_feature is None else teacher_feature
        self.shapes = tuple(tuple(part.shape[1:]) for side in (student_feature, reference) for part in parts(side))
        try:
            self.input_connector = build_input_connector(input_connector, reference, student_feature, images)
            own, other = build_sides(connector, teacher_connector, student_feature, reference, images)
        except ValueError as error:
            raise ValueError(f'spot {name!r}: {error}') from error
        self.layout, self.connector, student_feature = own
        self.teacher_layout, self.teacher_connector, reference = other
        self.teacher_decoder = nn.ModuleList()
        if teacher_decoder is not None:
            if not (isinstance(student_feature, Tensor) and isinstance(reference, Tensor)):
                raise ValueError(f'spot {name!r}: a spot at several modules takes no connectors')
            decoders = [teacher_decoder] if isinstance(teacher_decoder, Mapping) else teacher_decoder
            self.teacher_decoder = build_connectors(decoders, student_feature, reference)
        self.loss: SpotLoss = build(LOSSES, dict(loss), **accepted(LOSSES, loss, num_classes=num_classes))
        self.memory = None
        if memory is not None:
            dim = self._target_channels(student_feature, reference)
            self.memory = build(MEMORIES, dict(memory),
                                **accepted(MEMORIES, memory, num_classes=num_classes, dim=dim))
        self.discriminator = None
        if discriminator is not None:
            if not isinstance(student_feature, Tensor):
                raise ValueError(f'spot {name!r}: a discriminator judges the logits of one module, not of several')
            self.discriminator = build(MODELS, dict(discriminator), num_classes=student_feature.shape[1])
        if teacher_feature is not None:
            self._check(student_feature, reference)

    def _target_channels(self, student_feature: Feature, reference: Feature) -> int | None:
        """Return the channels of the teacher's feature after its connector; None for features of several modules."""
        if not (isinstance(student_feature, Tensor) and isinstance(reference, Tensor)):
            return None
        connector = self.teacher_connector
        try:
            with torch.no_grad():
                target = connected(connector.eval(), reference, student_feature)
        except (RuntimeError, ValueError):
            return None  # the check below reports it
        finally:
            connector.train()
        return channels(target) if isinstance(target, Tensor) else None

    def _check(self, student_feature: Feature, teacher_feature: Feature) -> None:
        was, doing = self.training, 'its connector does not take the feature'
        try:
            # A connector's BN is not to see these, and a memory not to remember them.
            with torch.no_grad():
                student, teacher = self.eval().connect(student_feature, teacher_feature)
                if self.loss.same_shape and not self._shapes_match(student, teacher):
                    self._raise_shape_mismatch(student, teacher)
                doing = 'its loss does not take the feature'
                # Twice the same sample: a relational loss looks at nothing less.
                student, teacher = (_twice(side) for side in (student, teacher))
                self.compare(student, teacher)
        except RuntimeError as error:
            raise ValueError(f'spot {self.name!r}: {doing} {shapes(student_feature)}: {error}') from error
        except ValueError as error:
            raise error if str(error).startswith('spot ') else ValueError(f'spot {self.name!r}: {error}') from error
        finally:
            self.train(was)

    @staticmethod
    def _shapes_match(student: Feature, teacher: Feature) -> bool:
        return isinstance(student, Tensor) and isinstance(teacher, Tensor) and student.shape == teacher.shape

    def _raise_shape_mismatch(self, student: Feature, teacher: Feature) -> None:
        if not (isinstance(student, Tensor) and isinstance(teacher, Tensor)):
            raise ValueError(f'{type(self.loss).__name__} compares one feature of each network, not {shapes(student)} '
                             f'with {shapes(teacher)}')
        hints = []
        if student.dim() != teacher.dim():
            hints = ["the two have different numbers of dimensions; connector='auto' bridges that"]
        else:
            if student.shape[1] != teacher.shape[1]:
                hints.append("connector=dict(type='Conv1x1') bridges the channels")
            if student.shape[2:] != teacher.shape[2:]:
                hints.append("connector=dict(type='Resize') the resolution")
            hints = [', '.join(hints) + "; connector='auto' does what is needed"]
        raise ValueError(f"spot {self.name!r}: the student's {self.student!r} gives {list(student.shape[1:])}, the "
                         f"teacher's {self.teacher!r} gives {list(teacher.shape[1:])}: {hints[0]}")

    def arrange(self, student: Feature, teacher: Feature,
                images: ImageSizes | None = None) -> tuple[Feature, Feature]:
        """Bring two features into the layout that is compared, before all else.

        Args:
            student: The student's feature as its module returns it, or a tuple of them.
            teacher: The teacher's.
            images: The sizes of the images of both networks; None for square images.

        Returns:
            Both, with the batch as the first dimension; the features themselves if no layout differs.
        """
        sizes = images or (None, None)
        for connector in self.layout.children():
            student = connector(student, teacher, sizes[0])
        for connector in self.teacher_layout.children():
            teacher = connector(teacher, student, sizes[1])
        return student, teacher

    def connect(self, student: Feature, teacher: Feature) -> tuple[Feature, Feature]:
        """Make two features comparable.

        Args:
            student: ``[B, C, ...]``, the student's feature after :meth:`arrange`, or a tuple of them.
            teacher: ``[B, C', ...]``, the teacher's.

        Returns:
            Both, after their connectors; the batch is the first dimension of every tensor.
        """
        return connected(self.connector, student, teacher), connected(self.teacher_connector, teacher, student)

    @property
    def reconstruction(self) -> 'Reconstruction | None':
        """The reconstruction term, which trains the teacher's connector alone, if it has a decoder."""
        return Reconstruction(self) if len(self.teacher_decoder) else None

    def enable_grad(self) -> None:
        """Enable gradients of the parameters that are trained if this spot is active."""
        others = ['discriminator', 'input_connector']
        if len(self.teacher_decoder):
            others += ['teacher_connector', 'teacher_decoder']
        for name, part in self.named_children():
            if name not in others:
                part.requires_grad_(True)

    def check_forcing(self) -> None:
        """Check that the teacher's feature can replace the student's for the student's later modules.

        Raises:
            ValueError: It has another shape, and there is no ``input_connector``; or the spot is at several modules.
        """
        if not (isinstance(self.student, str) and isinstance(self.teacher, str)):
            raise ValueError(f'teacher_forcing: spot {self.name!r} compares several modules at once, {self.student}; '
                             'name one that compares one')
        own, teachers = self.shapes
        if own != teachers and not len(self.input_connector):
            raise ValueError(f"teacher_forcing: at spot {self.name!r} the teacher's feature {list(teachers)} cannot "
                             f"replace the student's {list(own)}: give the spot input_connector='auto'")

    @property
    def needs(self) -> set[str]:
        """Other inputs of its loss and memory: ``'labels'`` and ``'index'``, as keys of a context."""
        return {*self.loss.needs, *(('index', 'labels') if self.memory is not None else ())}

    def compare(self, student: Feature, teacher: Feature, context: Mapping[str, Tensor] | None = None,
                selected: Tensor | None = None) -> Tensor:
        """Compare two features after their connectors.

        Args:
            student: ``[B, ...]``.
            teacher: ``[B, ...]``.
            context: The known context of the samples: ``index``, ``[B]``, their positions in the training set, and
                ``labels``, ``[B]`` or ``[B, H, W]``. Unknown keys may be missing.
            selected: ``[B]``, True for the samples that are compared and remembered, which come first; all by default.
                Only for relational losses and memories.

        Returns:
            The loss, ``[B]``, or a scalar if the loss is relational; with ``selected`` the mean over these samples.
        """
        context = context or {}
        mask = {} if selected is None else dict(selected=selected)
        if self.memory is not None:
            labels = context.get('labels')
            if labels is not None and labels.dim() > 1 and not getattr(self.memory, 'dense_labels', False):
                labels = None  # to a memory of images, each image is then a class of its own
            student, teacher = self.memory(student, teacher, context.get('index'), labels, **mask)
        known = {name: context.get(name) for name in self.loss.needs}
        if selected is None or self.loss.relational:
            return self.loss(student, teacher, **known, **mask)
        return mean_of_selected(self.loss(student, teacher, **known).masked_fill(~selected, 0), selected)

    def forward(self, student: Feature, teacher: Feature, context: Mapping[str, Tensor] | None = None,
                gate: Tensor | None = None) -> Tensor:
        """Compare two features.

        Args:
            student: ``[B, C, ...]``, the student's feature after :meth:`arrange`, or a tuple of them.
            teacher: ``[B, C', ...]``, the teacher's.
            context: As for :meth:`compare`.
            gate: ``[B]``, True for the samples that are distilled, see :func:`skd_mm.routing.gated`; all by default.

        Returns:
            The loss, ``[B]``, or a scalar if the loss is relational.
        """
        student, teacher = self.connect(student, teacher)
        if gate is None:
            return self.compare(student, teacher, context)
        subset = self.loss.relational or self.memory is not None
        return gated(self.compare, subset, student, teacher, context, gate)


class Reconstruction:
    """The reconstruction term of a spot, which trains its teacher's connector to preserve the teacher's feature.

    The loss is the mean squared error between the feature and its reconstruction by the decoder; the student is not
    needed. This trains the paraphraser of factor transfer in a separate phase (Kim, Park and Kwak, arXiv 1802.04977).

    Args:
        spot: A spot with a decoder. It owns the parameters.
    """

    def __init__(self, spot: Spot) -> None:
        self.name = f'{spot.name}.teacher'
        self.student: Modules = ()
        self.teacher = spot.teacher
        self.needs: set[str] = set()
        self.weight = 1.0
        self.connector, self.decoder, self.loss = spot.teacher_connector, spot.teacher_decoder, MSELoss()
        self.layout = spot.teacher_layout

    def enable_grad(self) -> None:
        """Enable gradients of the parameters that are trained if this is active."""
        self.connector.requires_grad_(True)
        self.decoder.requires_grad_(True)

    def arrange(self, student: Feature, teacher: Feature,
                images: ImageSizes | None = None) -> tuple[Feature, Feature]:
        """Bring the teacher's feature into the layout that is compared, see :meth:`Spot.arrange`."""
        for connector in self.layout.children():
            teacher = connector(teacher, teacher, images and images[1])
        return student, teacher

    def __call__(self, student: Feature, teacher: Feature, context: Mapping[str, Tensor] | None = None,
                 gate: Tensor | None = None) -> Tensor:
        """Compare the teacher's feature with its reconstruction.

        Args:
            student: Not used.
            teacher: ``[B, C, ...]``.
            context: Not used.
            gate: Not used.

        Returns:
            ``[B]``.
        """
        return self.loss(connected(self.decoder, connected(self.connector, teacher, teacher), teacher), teacher)


def module_names(modules: Modules) -> tuple[str, ...]:
    """Return the names of the modules on one side of a spot."""
    return (modules,) if isinstance(modules, str) else modules


def select_features(features: Mapping[str, Tensor], modules: Modules) -> Feature:
    """Return the feature at one module, or a tuple of those at several."""
    return features[modules] if isinstance(modules, str) else tuple(features[module] for module in modules)


def _twice(feature: Feature) -> Feature:
    doubled = tuple(torch.cat([part, part]) for part in parts(feature))
    return doubled[0] if isinstance(feature, Tensor) else doubled
