"""The ways to run a config's phases that are compared."""

import copy
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor

from skd_mm.features import NetworkPair, PairOutputs, TeacherForcing


class FullForwardPair(NetworkPair):
    """Runs both networks to their ends in every phase with a spot, as implementations without truncation do.

    Without an active spot, and to predict, the student alone runs: as in the code that SKD's authors published.
    """

    def run(self, inputs: Tensor, data_samples: Any, mode: str, keys: Any = None, record: Any = None,
            forcing: TeacherForcing | None = None) -> PairOutputs:
        """Run both networks, see :meth:`skd_mm.features.NetworkPair.run`.

        Args:
            inputs: ``[B, C, H, W]``, the student's images.
            data_samples: One per image.
            mode: How the student is called.
            keys: Ignored: nothing is cached.
            record: Ignored.
            forcing: Replaces features of the student by the teacher's.

        Returns:
            What the student returned, and the features of both.
        """
        student, targets = self.student.model, {}
        if mode != 'predict' and self.plan.teacher:
            assert self.teacher is not None and self.teacher_images is not None
            teacher, images = self.teacher.model, self.teacher_images(inputs, data_samples)
            with torch.no_grad():
                targets = self.teacher.run(lambda: teacher(images, data_samples, mode='tensor'),
                                           capture=self.plan.teacher)[1]
        outputs, features = self.student.run(
            lambda: student(inputs, data_samples, mode=mode), capture=self.plan.student,
            replace=forcing and forcing(targets))
        return PairOutputs(outputs, features, targets, self.image_sizes(inputs))


class Variant:
    """One way to run a config's phases, in a Runner of its own.

    Args:
        cfg: A config from :func:`~skd_mm.analysis.benchmark.prepare_config`.
        cache: Replaces ``schedule.cache``.
        full_forward: Run both networks to their ends, see :class:`FullForwardPair`. Defaults to False.

    Attributes:
        runner: The Runner.
        loop: Its training loop.
        distiller: Its model.

    Raises:
        ValueError: With a cache: the images differ from epoch to epoch.
    """

    def __init__(self, cfg: Config, cache: Any, full_forward: bool = False) -> None:
        cfg = copy.deepcopy(cfg)
        cfg.schedule.cache = cache
        self.runner = Runner.from_cfg(cfg)
        self.loop: Any = self.runner.train_loop
        self.distiller = self.loop.distiller
        self.runner.val_loop  # noqa: B018  (builds it)
        self.runner.call_hook('before_run')
        self.runner.call_hook('before_train')
        if full_forward:
            pair = self.distiller.pair
            self.distiller.pair = FullForwardPair(pair.student, pair.teacher, pair.teacher_images)

    def begin(self, index: int) -> None:
        """Start a phase.

        Args:
            index: Its position in the schedule.
        """
        self.loop.index, self.loop.phase_iter = index, 0
        self.loop.prepare_phase()
        self.loop.begin_phase()
        self.runner.model.train()
        self.runner.call_hook('before_train_epoch')

    def step(self, batch: Any) -> None:
        """Train one iteration.

        Args:
            batch: A batch of the data loader; it may be changed.
        """
        self.loop.run_iter(batch)

    def val_step(self, batch: Any) -> None:
        """Validate one batch.

        Args:
            batch: A batch of the validation's data loader; it may be changed.
        """
        self.runner.val_loop.run_iter(0, batch)
