"""The training loop over the phases of a schedule."""

from collections.abc import Iterator
from typing import Any

from mmengine.dist import get_rank, get_world_size, is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop
from torch import nn

from skd_mm.datasets.seeded import check_deterministic
from skd_mm.distillers.training_loop import FOLLOWS_SCHEDULE
from skd_mm.engine.handover import hand_over
from skd_mm.engine.hooks.default_hooks import replace_default_hooks
from skd_mm.engine.model_wrapper import wrap_for_phase
from skd_mm.engine.optimizers.adversarial import adversarial_step
from skd_mm.engine.optimizers.phase_optimization import PhaseOptimization
from skd_mm.engine.phase_cache import build_feature_cache, hash_samples
from skd_mm.engine.phase_data import PhaseData
from skd_mm.engine.phase_validation import PhaseValidation
from skd_mm.engine.rendered_config import RenderedConfig
from skd_mm.engine.resume import check_batch_size
from skd_mm.engine.sanity_check import check_phases, check_task
from skd_mm.engine.task_parameters import find_task_parameters
from skd_mm.engine.visualization import number_phases
from skd_mm.features.cache import restorer, retry_after_release
from skd_mm.models.label_teachers import LabelTeacher
from skd_mm.registry import LOOPS, RECIPES, build
from skd_mm.schedules import Phase, Recipe
from skd_mm.tasks import task_of
from skd_mm.utils import derive_seed, from_main_process, seed_everything

from .loop_config import LENGTHS, check_loop_config

__all__ = ['LENGTHS', 'PhaseLoop']


@LOOPS.register_module()
class PhaseLoop(BaseLoop):
    """Trains the phases of ``cfg.schedule`` one after the other.

    Each phase freezes what it does not train, builds its data loader and optimizer, wraps the model, trains, and hands
    its best or last checkpoint over to the next one. The config's data loader, ``optim_wrapper``, ``param_scheduler``,
    hooks, evaluator and launcher are used as they are. Lengths and the intervals of validation and checkpoints are
    counted within a phase; iterations, ETA and curves continue over the whole run. The loop registers
    :class:`PhaseHook`, :class:`PhaseCheckpointHook` and :class:`PhaseLogProcessor`, so a config needs no more than::

        schedule = dict(type='Stagewise', phase_epochs=50, fraction=0.1)
        train_cfg = dict(type='skd_mm.PhaseLoop')

    In addition to MMEngine's events, it calls the hooks' ``before_phase(runner)`` (not for the phase in which a run is
    resumed), ``after_phase(runner)``, and ``after_step(runner, due)`` after each iteration and the validation due with
    it; ``due`` is whether a checkpoint is due.

    Args:
        runner: The runner.
        dataloader: Config of the training data loader. Its sampler is ignored: an epoch has
            ``floor(N / global batch)`` batches of a fresh permutation of the phase's data fraction. Unlabelled data
            comes from ``cfg.unlabelled_dataloader``.
        **lengths: Arguments of MMEngine's loops (``max_iters`` …); ignored with a notice.

    Attributes:
        phases: The phases.
        index: Position of the current phase in ``phases``.
        phase_iter: Iterations since the start of the current phase.
        data: Data set, fractions and loaders.
        validation: Validation data and evaluators.
        optimization: Builds the phases' optimizers.
        checkpoints: The hook that writes checkpoints.

    Raises:
        TypeError: The config's model is no distiller, or it has no schedule.
        ValueError: A phase cannot be trained. All phases are checked before the first one starts.
    """

    def __init__(self, runner: Any, dataloader: dict[str, Any], **lengths: Any) -> None:
        check_loop_config(runner, dataloader, lengths)
        distiller: Any = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.distiller = distiller
        runner.cfg = RenderedConfig.of(runner.cfg)
        runner.message_hub.update_info(FOLLOWS_SCHEDULE, True, resumed=False)
        # With `diff_rank_seed` each process has another one.
        self.seed = from_main_process(lambda: runner.seed)
        self.stop_training = False
        self.index = 0
        # Of features on disk; computed when the run starts.
        self.samples_hash = ''
        self.phase_iter = 0
        self.resumed = False
        self._iter = 0
        self._epoch = 0
        self._task_checked = False
        self.recipe: Recipe = build(RECIPES, runner.cfg.schedule)
        unlabelled = runner.cfg.get('unlabelled_dataloader')
        phases = self.recipe.phases(distiller.outline(), distiller.spot_names())
        self.phases = [phase.with_data(unlabelled is not None) for phase in phases]
        self.data = PhaseData(dataloader, self.recipe, self.phases, unlabelled, task_of(distiller.student))
        self.validation = PhaseValidation(runner)
        self.optimization = PhaseOptimization(runner)
        if isinstance(distiller.teacher, LabelTeacher) and len(self.data.classes) > distiller.teacher.num_classes:
            raise ValueError(f'model.teacher has num_classes={distiller.teacher.num_classes}, and the data set of '
                             f'train_dataloader {len(self.data.classes)} classes')
        if self.recipe.cache:
            check_deterministic(self.data.dataset, distiller.data_preprocessor, self.recipe.cache.views)
        super().__init__(runner, self.data.build_loader(self.phase, self.index, self.seed))
        check_phases(self)
        if find_task_parameters(self):
            check_phases(self)
        number_phases(runner.visualizer, [phase.name for phase in self.phases])
        runner.visualizer.dataset_meta = self.dataloader.dataset.metainfo
        self.checkpoints = replace_default_hooks(runner, has_router=distiller.router is not None,
                                                 is_quantised=hasattr(distiller.student, 'calibration_images'))
        self.prepare_phase()

    @property
    def phase(self) -> Phase:
        """The current phase."""
        return self.phases[self.index]

    @property
    def iter(self) -> int:
        """Iterations since the start of the run."""
        return self._iter

    @property
    def epoch(self) -> int:
        """Epochs since the start of the run."""
        return self._epoch

    @property
    def max_iters(self) -> int:
        """Iterations of the whole run, unless a phase ends early."""
        return self._iter - self.phase_iter + sum(self.data.length(phase) for phase in self.phases[self.index:])

    @property
    def max_epochs(self) -> int:
        """Epochs of the whole run, unless a phase ends early."""
        return sum(self.data.epochs(phase) for phase in self.phases)

    @property
    def place(self) -> str:
        """The current phase and iteration, for messages."""
        return (f'phase {self.index + 1}/{len(self.phases)} {self.phase.name}, iteration {self.phase_iter + 1} of '
                f'{self.data.length(self.phase)}')

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the schedule, for a checkpoint."""
        return dict(phases=[phase.name for phase in self.phases], index=self.index, phase=self.phase.name,
                    phase_iter=self.phase_iter, stopped=self.stop_training, seed=self.seed,
                    processes=get_world_size(), batch_size=self.data.batch_size)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Rebuilds the phase of a checkpoint, so that its optimizer state can be loaded.

        Args:
            state: What :meth:`state_dict` returned.

        Raises:
            ValueError: It belongs to a schedule with other phases, or to another global batch size.
        """
        names = [phase.name for phase in self.phases]
        if state['phases'] != names:
            raise ValueError(f'the checkpoint to resume from has the phases {state["phases"]}, the config {names}')
        check_batch_size(state['processes'], state['batch_size'], self.data.batch_size)
        self.index, self.phase_iter, self.seed = state['index'], state['phase_iter'], state['seed']
        self.stop_training = state['stopped']
        self.resumed = True
        self.prepare_phase()

    def check_task(self) -> None:
        """Tries the task on one image, see :func:`skd_mm.engine.sanity_check.check_task`; :meth:`run` calls it too."""
        self._task_checked = True
        check_task(self)

    def run(self) -> nn.Module:
        """Trains the remaining phases.

        Returns:
            The model after its last phase.
        """
        self.runner.call_hook('before_train')
        try:
            if not self._task_checked:
                self.check_task()
            if self.recipe.cache:
                self.validation.keep_samples(self.data.sample_cache, self.distiller.data_preprocessor)
            if self.recipe.cache.disk:
                self.samples_hash = hash_samples(self)
            while True:
                self.run_phase()
                if self.index + 1 == len(self.phases):
                    break
                hand_over(self, self.phases[self.index + 1])
                self.index += 1
                self.phase_iter = 0
                self.prepare_phase()
        except Exception as error:
            last = self.checkpoints.last
            where = f'the last checkpoint is {last}; use --resume to continue from it' if last else \
                'there is no checkpoint yet'
            self.runner.logger.error(f'{self.place}: the run stops with a {type(error).__name__}; {where}')
            raise
        if self.distiller.cache is not None:
            self.distiller.cache.remove()
        self.runner.call_hook('after_train')
        return self.runner.model

    def activate(self, phase: Phase) -> None:
        """Activates a phase in the distiller, with an empty feature cache."""
        self.distiller.activate(**phase.activation, cache=build_feature_cache(self, phase))

    def prepare_phase(self) -> None:
        """Activates the current phase, wraps the model, and builds optimizer and data loader."""
        self.activate(self.phase)
        # Accumulated gradients that were not applied end with their phase.
        self.distiller.zero_grad()
        self.discriminators = wrap_for_phase(self.runner, self.distiller)
        self.optimization.build(self, self.phase)
        self.dataloader = self.data.build_loader(self.phase, self.index, self.seed, self.phase_iter,
                                                 self.distiller.prefetch)

    def begin_phase(self) -> None:
        """Prepares evaluator and logging, and calls ``before_phase`` unless the phase is resumed."""
        runner, phase = self.runner, self.phase
        if runner.val_loop is not None:
            runner.val_loop.evaluator = self.validation.evaluator(phase)
        runner.optim_wrapper.initialize_count_status(runner.model, self.phase_iter, self.data.length(phase))
        runner.logger.info(self._describe_phase())
        if is_main_process():
            self.data.write_names(phase, runner.work_dir)
        if not self.resumed:
            runner.call_hook('before_phase')
        self.resumed = False

    def _describe_phase(self) -> str:
        phase, data = self.phase, self.data
        state = f'resumed after iteration {self.phase_iter} of' if self.resumed else 'phase'
        parameters = sum(parameter.numel() for parameter in self.distiller.trainable().values())
        return (f'{state} {self.index + 1}/{len(self.phases)} {phase.name}: trains {parameters:,} parameters in '
                f'{phase.train}; spots {list(phase.spots)}; task loss {"on" if phase.task else "off"}; '
                f'{data.describe(phase)}, '
                f'{data.epoch_length(phase) * data.global_batch_size} per epoch; {data.length(phase)} iterations')

    def run_phase(self) -> None:
        """Trains the current phase to its end."""
        runner, phase = self.runner, self.phase
        self.begin_phase()
        epoch_length, length = self.data.epoch_length(phase), self.data.length(phase)
        unit = epoch_length if phase.unit == 'epochs' else 1
        val_interval = unit * phase.val_interval if phase.val_interval else length
        save_interval = self.checkpoints.interval_in(phase, epoch_length) or val_interval
        runner.model.train()
        batches: Iterator[Any] | None = None
        due = False
        while self.phase_iter < length and not self.stop_training:
            # A run that is resumed within an epoch starts one for the hooks.
            if batches is None or self.phase_iter % epoch_length == 0:
                runner.call_hook('before_train_epoch')
            if batches is None:
                batches = iter(self.dataloader)
            self.run_iter(next(batches))
            if self.phase_iter % epoch_length == 0:
                runner.call_hook('after_train_epoch')
                self._epoch += 1
            at_end = self.phase_iter == length
            if self.phase_iter % val_interval == 0 or at_end:
                self._validate()
            due = due or self.phase_iter % save_interval == 0
            # Gradients that are not applied yet are in no checkpoint: it waits for the update.
            saves = at_end or self.stop_training or (due and runner.optim_wrapper.should_update())
            runner.call_hook('after_step', due=saves)
            due = due and not saves
        self.stop_training = False
        if self.distiller.cache is not None:
            runner.logger.info(f'phase {phase.name}: the cache holds {self.distiller.cache.summary()}')
        runner.call_hook('after_phase')

    def run_iter(self, batch: Any) -> None:
        """Trains one iteration.

        Args:
            batch: A batch of the data loader.

        Raises:
            FloatingPointError: The loss is not finite.
        """
        # As in MMEngine's iteration-based loop, not the index in the epoch: a fraction's epoch may be too short for
        # the logger's interval.
        runner, batch_idx = self.runner, self.phase_iter
        # What an iteration draws (dropout, mixup, gates) depends on its position alone, so that it can be resumed.
        seed_everything(derive_seed(self.seed, 'step', self.index, self.phase_iter, get_rank()))
        runner.call_hook('before_train_iter', batch_idx=batch_idx, data_batch=batch)
        cache = self.distiller.cache
        try:
            if cache is not None and cache.full and get_world_size() == 1:
                # A full cache has memory that the step may need. Other processes could not repeat theirs.
                outputs = retry_after_release(lambda: self._train_step(batch), cache, restorer(self.distiller))
            else:
                outputs = self._train_step(batch)
        except FloatingPointError as error:
            raise FloatingPointError(f'{self.place}: {error}') from None
        runner.call_hook('after_train_iter', batch_idx=batch_idx, data_batch=batch, outputs=outputs)
        self._iter += 1
        self.phase_iter += 1

    def _train_step(self, batch: Any) -> dict[str, Any]:
        runner = self.runner
        if self.discriminators is None:
            return runner.model.train_step(batch, optim_wrapper=runner.optim_wrapper)
        return adversarial_step(runner.model, self.discriminators, batch, runner.optim_wrapper)

    def _validate(self) -> None:
        if self.runner.val_loop is None:
            return
        # A teacher that draws its targets draws the same ones if a run is resumed with a validation.
        seed_everything(derive_seed(self.seed, 'validation', self.index, self.phase_iter, get_rank()))
        self.runner.val_loop.run()
        self.runner.model.train()
