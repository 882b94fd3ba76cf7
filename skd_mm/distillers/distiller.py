"""The distiller: the wrapper model around teacher, student and spots."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from skd_mm.features import Execution, FeatureExtractor, NetworkPair, PairOutputs
from skd_mm.registry import MODELS
from skd_mm.utils import did_you_mean

from .active_phase import ALL, PhaseResolver
from .building import all_terms, build_routing, build_spots, build_teacher, build_teacher_input, name_stages
from .discriminators import DiscriminatorInput
from .loss_check import LossCheck
from .networks import build_network, load_weights
from .partly_labelled import compare_parts, count_labelled, labelled_first, no_task_loss, run_parts
from .phased_model import PhasedModel
from .probing import example_shapes, first_that_fits, input_channels
from .pruned import start_from_kept_channels
from .routed import Branch, multi_path
from .samples import sample_keys
from .spot import Reconstruction, Spot
from .teacher_forcing import ForcedBatch
from .terms import spot_inputs, task_losses
from .training_loop import check_training_loop
from .validation import validation_losses


@MODELS.register_module()
class Distiller(PhasedModel):
    """Teacher, student and spots as one model that any MMEngine runner trains.

    All comparisons are defined here. :meth:`activate` selects by name which of them are active and which part of the
    student is trained; until it is called, the whole student is trained on its own losses and all spots.

    Only what is active is computed: the forward pass stops after the last active spot, the teacher is not run if no
    spot is active, and a frozen prefix builds no graph. The teacher is not among the distiller's modules: it is in no
    checkpoint, no EMA copy and no ``init_weights``, and always in eval mode and without gradients.

    Args:
        student: ``dict(cfg='path/to/config.py', checkpoint=None, options=None)`` or a model config. Training starts
            from the checkpoint, if there is one.
        teacher: The same for the teacher; its checkpoint must fit completely. ``mode='train'`` lets its BN normalise by
            the statistics of the batch, as SKD's published segmentation code does (its running statistics stay as they
            are). ``input_size`` is the size of its images, see :func:`skd_mm.distillers.inputs.input_size`. None if
            nothing is distilled.
        spots: Module names, or dicts with the arguments of :class:`Spot`; ``'backbone'`` for one spot at the end of
            each of the backbone's own stages, with connectors as needed. Several spots may be at one module. See
            :func:`skd_mm.distillers.spot_configs.spot_configs` for ``stage`` and for several losses. The ends of stages
            can be given as ``student=dict(backbone_stages=['backbone.layer1', ...])``, and likewise for the teacher.
        router: Config of a :class:`skd_mm.routing.Router`. In phases with the task loss and a spot, it decides which
            samples are distilled.
        input_shape: ``(C, H, W)`` of the zeros on which both networks are run once to find stages and shapes. Defaults
            to the channels of the first convolution, and 64×64 or, if a network does not take that, its own size.
        data_preprocessor: Used if the student's config has none.
        channels_last: Keep weights and features of both networks in that memory format.
        compile: Run both networks through ``torch.compile``, between the features that the phase looks at; a dict has
            its arguments. See :class:`skd_mm.features.Execution`.
        gradient_checkpointing: Keep only the inputs of the student's blocks, and recompute the rest of its activations
            in the backward pass.

    Raises:
        KeyError: A spot names a module that does not exist.
        ValueError: Two spots have one name, or features cannot be compared.

    Example:
        >>> model = dict(
        ...     type='skd_mm.Distiller',
        ...     teacher=dict(cfg='mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py',
        ...                  checkpoint='pspnet_r101.pth'),
        ...     student=dict(cfg='mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py'),
        ...     spots=[dict(student='backbone.layer4', connector='auto')])
    """

    def __init__(self,
                 student: Mapping[str, Any],
                 teacher: Mapping[str, Any] | None = None,
                 spots: str | Sequence[str | Mapping[str, Any]] = (),
                 input_shape: Sequence[int] | None = None,
                 router: Mapping[str, Any] | None = None,
                 data_preprocessor: Mapping[str, Any] | None = None,
                 channels_last: bool = False,
                 compile: bool | Mapping[str, Any] = False,
                 gradient_checkpointing: bool = False,
                 **unknown: Any) -> None:
        for key in unknown:
            known = list(inspect.signature(Distiller).parameters)[:-1]
            raise ValueError(f'model: a Distiller takes no {key!r}{did_you_mean(key, known)} (it takes {known})')
        network = build_network(student, 'student', data_preprocessor)
        super().__init__(data_preprocessor=network.data_preprocessor)
        self.student = network
        self.student_checkpoint = student.get('checkpoint')
        self.student_network = FeatureExtractor(network, 'student', Execution(compile, gradient_checkpointing))
        self.student_network.execution.check(network, 'student')
        self.teacher_network: FeatureExtractor | None = None
        if teacher is not None:
            self.teacher_network = FeatureExtractor(build_teacher(teacher), 'teacher', Execution(compile), shared=True)
        self.channels_last = channels_last
        self.loss_check = LossCheck()
        if channels_last:
            for part in filter(None, (network, self.teacher)):
                part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.teacher_input = build_teacher_input(network, self.teacher, (teacher or {}).get('input_size'))
        if self.teacher_network is not None and self.teacher_input is not None:
            self.teacher_network.image_size = self.teacher_input.size

        shapes = [tuple(input_shape)] if input_shape else example_shapes([network, self.teacher],
                                                                         input_channels(network))
        own_stages = student.get('backbone_stages'), teacher.get('backbone_stages') if teacher is not None else None
        shape, (parts, split) = first_that_fits(
            shapes, lambda shape: build_spots(spots, self.student_network, self.teacher_network, shape, own_stages))
        self.input_shape = shape
        self.stage_modules = [*(stage.name for stage in split.stages[:-1]), '']
        self.stages, self.stage_spots = name_stages(split.stages, parts)
        self.spots = nn.ModuleDict({_key(spot.name): spot for spot in parts})
        self.routing = None
        if router is not None:
            self.routing = build_routing(router, parts, self.student_network, self.teacher_network, shape)
        self.router = self.routing.router if self.routing is not None else None
        self.pair = NetworkPair(self.student_network, self.teacher_network, self.teacher_input)
        self.resolver = PhaseResolver(
            student=self.student_network, teacher=self.teacher_network, stages=self.stages, reached=split.reached,
            alive=split.alive, spots=all_terms(parts), router=self.router,
            router_features=self.routing.features if self.routing is not None else {})
        self.activate(ALL, [spot.name for spot in parts] if self.teacher is not None else [], 1.0)

    def init_weights(self) -> None:
        """Initialise the student as its config says, then load its checkpoint if it has one.

        Raises:
            RuntimeError: The config has a ``schedule`` and the Runner's training loop ignores it.
        """
        check_training_loop()
        super().init_weights()
        if self.student_checkpoint is not None:
            load_weights(self.student, self.student_checkpoint, 'student')
        start_from_kept_channels(self.spots, self.student_network)

    def forward(self, inputs: Tensor, data_samples: Sequence[Any] | None = None, mode: str = 'tensor') -> Any:
        """Run the model in one of MMEngine's modes.

        Args:
            inputs: ``[B, C, H, W]``, normalised by the data preprocessor.
            data_samples: One data sample per image.
            mode: ``'loss'``, ``'adversarial'``, ``'predict'`` or ``'tensor'``.

        Returns:
            ``'loss'``: a dict of losses. ``'adversarial'``: the same, and the inputs of the active discriminators.
            ``'predict'``: the student's predictions, or the data samples with their spot losses, see
            :meth:`predict`.
            ``'tensor'``: the student's raw output.
        """
        if self.channels_last and inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'adversarial':
            cases: list[DiscriminatorInput] = []
            return self.loss(inputs, data_samples, cases), cases
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        return self.student(inputs, data_samples, mode=mode)

    def loss(self, inputs: Tensor, data_samples: Sequence[Any] | None,
             cases: list[DiscriminatorInput] | None = None) -> dict[str, Any]:
        """Compute the losses of all that is active.

        Args:
            inputs: ``[B, C, H, W]``.
            data_samples: One data sample per image. Those that the data loader marks as unlabelled count in the losses
                at spots only, see :mod:`skd_mm.distillers.partly_labelled`.
            cases: Filled, if given, with the inputs of the active discriminators.

        Returns:
            The student's own losses, one that it calls ``loss`` as ``task.loss``, and one ``spots.<name>.loss`` per
            spot, times their weights. If a router decides, ``router.keep.<name>``, the share of the samples that are
            distilled there, and its own losses if it is trained.
        """
        active = self.active
        # The multi-path pass replays placeholders of what the modules return in this one.
        recorded = self.routing.recorded() if self.routing is not None and active.multi_path else {}
        mode = 'loss' if active.task else 'tensor'
        self._last_images = inputs.shape[1:], inputs.device
        labelled = count_labelled(data_samples)
        if labelled is not None and (active.task or labelled):
            return self._loss_of_parts(inputs, data_samples or (), labelled, cases)
        forcing = ForcedBatch(active.forced) if active.forced else None
        outputs = self.pair.run(inputs, data_samples, mode, self._keys(inputs, data_samples), recorded, forcing)
        losses = task_losses(outputs.student, active.task) if active.task else {}
        gates, distilled = None, {}
        if active.routed and self.routing is not None:
            gates = self.routing.draw(outputs)
            distilled = self.routing.router.distilled(gates)
            losses.update({f'router.keep.{name}': chosen.float().mean() for name, chosen in distilled.items()})
        losses.update(self._spot_losses(
            lambda spot: spot(*spot_inputs(spot, outputs, data_samples), distilled.get(spot.name)), forcing))
        if cases is not None:
            cases += self._cases(outputs, data_samples)
        if gates is not None and active.multi_path:
            losses.update(self._multi_path(inputs, data_samples, gates, recorded, outputs))
        return losses

    def _loss_of_parts(self, inputs: Tensor, data_samples: Sequence[Any], labelled: int,
                       cases: list[DiscriminatorInput] | None) -> dict[str, Any]:
        """Compute the losses of a batch with unlabelled samples: the student's own losses are those of the others."""
        active = self.active
        if active.routed:
            raise ValueError('model.router does not work with batches that have unlabelled samples and a task loss')
        inputs, data_samples = labelled_first(inputs, data_samples)
        keys, losses = self._keys(inputs, data_samples), {}
        forcing = ForcedBatch(active.forced) if active.forced else None
        outputs = run_parts(self.pair, inputs, data_samples, labelled, keys, bool(active.task), forcing)
        if active.task and labelled:
            losses = task_losses(outputs.student, active.task)
        elif active.task:
            losses = no_task_loss(value for name, value in self.student.named_parameters() if name in active.parameters)
        losses.update(self._spot_losses(lambda spot: compare_parts(spot, outputs, data_samples, labelled), forcing))
        if cases is not None:
            cases += self._cases(outputs, data_samples)
        return losses

    def _spot_losses(self, compare: Callable[[Spot | Reconstruction], Tensor],
                     forcing: ForcedBatch | None) -> dict[str, Tensor]:
        """Return the losses at the active spots, times their weights, given a function for those of the samples."""
        losses = {f'spots.{spot.name}.loss': weight * compare(spot).mean() for spot, weight in self.active.spots}
        if forcing is not None:
            losses.update(forcing.losses())
        return losses

    def _cases(self, outputs: PairOutputs, data_samples: Sequence[Any] | None) -> list[DiscriminatorInput]:
        return [term.case(*spot_inputs(term, outputs, data_samples)) for term, _ in self.active.discriminators]

    def _multi_path(self, inputs: Tensor, data_samples: Sequence[Any] | None, gates: Tensor,
                    recorded: Mapping[str, dict[str, Any]], outputs: PairOutputs) -> dict[str, Tensor]:
        assert self.routing is not None and self.teacher_network is not None and self.teacher_input is not None
        images = dict(student=inputs, teacher=self.teacher_input(inputs, data_samples))
        student, teacher = (
            Branch(network, images[network.role], data_samples, self.routing.entries[network.role],
                   recorded[network.role]) for network in (self.student_network, self.teacher_network))
        return multi_path(self.routing, gates, student, teacher, outputs)

    def parse_losses(self, losses: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Add up the losses of a step, see MMEngine's ``BaseModel``.

        Args:
            losses: The result of :meth:`loss`.

        Returns:
            Their sum, and what is logged.

        Raises:
            FloatingPointError: The sum is not finite, see :class:`LossCheck`. On an accelerator the backward pass
                raises it.
        """
        total, logged = super().parse_losses(losses)
        self.loss_check(total, logged)
        return total, logged

    def predict(self, inputs: Tensor, data_samples: Sequence[Any] | None) -> list[Any]:
        """Return what the evaluator gets.

        Args:
            inputs: ``[B, C, H, W]``.
            data_samples: One data sample per image.

        Returns:
            The student's predictions if the phase is validated by them; else the data samples with ``spot_losses``,
            the losses times their weights by name, in their meta information.
        """
        keys = self._keys(inputs, data_samples)
        if self.active.predicts:
            return self.pair.run(inputs, data_samples, 'predict', keys).student
        losses = validation_losses(self.pair, self.active, inputs, data_samples, keys)
        samples: list[Any] = list(data_samples or (BaseDataElement() for _ in inputs))
        rows = torch.stack(list(losses.values()), dim=1).tolist()  # one copy to the host
        for sample, row in zip(samples, rows, strict=True):
            sample.set_metainfo(dict(spot_losses=dict(zip(losses, row, strict=True))))
        return samples

    def _keys(self, inputs: Tensor, data_samples: Sequence[Any] | None) -> list[Any] | None:
        return sample_keys(data_samples, inputs.shape[1:]) if self.cache is not None else None


def _key(name: str) -> str:
    """A spot's name as a key of a ModuleDict, which must not have dots."""
    return name.replace('.', '/')
