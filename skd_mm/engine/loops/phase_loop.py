"""The one training loop: it walks the phases of a schedule."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as torch_dist
from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size, is_distributed, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.hooks import CheckpointHook, LoggerHook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, LogProcessor, Runner
from mmengine.runner.checkpoint import _load_checkpoint
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from skd_mm.datasets.building import build_dataset
from skd_mm.datasets.fraction import fraction_indices, sample_names, write_fraction
from skd_mm.datasets.sample_cache import PhaseLoader, SampleCache, ValidationLoader
from skd_mm.datasets.seeded import NamedDataset, PhaseSampler, SeededDataset, check_deterministic
from skd_mm.distillers.training_loop import FOLLOWS_SCHEDULE
from skd_mm.engine.hooks.keep_rate_hook import KeepRateHook
from skd_mm.engine.hooks.phase_checkpoint_hook import PhaseCheckpointHook
from skd_mm.engine.hooks.phase_hook import PhaseHook
from skd_mm.engine.log_processor import PhaseLogProcessor
from skd_mm.engine.optimizers.adversarial import adversarial_step, build_alternating
from skd_mm.engine.resume import LOCATIONS
from skd_mm.engine.sanity_check import check_losses, check_validation
from skd_mm.evaluation import SpotLossMetric
from skd_mm.features import FeatureCache, FeatureFiles, fingerprint, samples_of
from skd_mm.models.label_teachers import LabelTeacher
from skd_mm.registry import LOOPS, RECIPES, build
from skd_mm.schedules import Phase, Recipe
from skd_mm.utils import derive_seed, did_you_mean, seed_everything, temporary_seed

# What a schedule decides instead of MMEngine's loops.
LENGTHS = ('max_epochs', 'max_iters', 'val_interval', 'val_begin', 'dynamic_intervals', 'by_epoch')


@LOOPS.register_module()
class PhaseLoop(BaseLoop):
    """Walks the phases of ``cfg.schedule``: freeze, optimizer, loader, wrap; train; best or last; next.

    The config's own data loader, ``optim_wrapper``, ``param_scheduler``, hooks, evaluator and launcher are used as they
    are, anew in every phase. Lengths, and the intervals of validation and checkpoints, are counted within a phase;
    iterations, ETA and curves go on over the whole run. It puts :class:`PhaseHook`, :class:`PhaseCheckpointHook` and
    :class:`PhaseLogProcessor` in their places by itself, so a config needs nothing more than::

        schedule = dict(type='Stagewise', phase_epochs=50, fraction=0.1)
        train_cfg = dict(type='skd_mm.PhaseLoop')

    Beside MMEngine's events it calls the hooks at ``before_phase(runner)``, ``after_phase(runner)`` and
    ``after_step(runner, due)``, behind each iteration and the validation that was due with it.

    Args:
        runner: The runner.
        dataloader: Config of the training data loader. Its sampler is not used: an epoch is ``floor(N / global batch)``
            batches of a fresh permutation of the phase's data fraction.
        **lengths: What MMEngine's loops take (``max_iters`` …); ignored with a notice.

    Raises:
        TypeError: The config's model is no distiller, or it has no schedule.
        ValueError: The schedule, the data or the two together make no sense; before anything is trained.
    """

    def __init__(self, runner: Any, dataloader: dict[str, Any], **lengths: Any) -> None:
        for key in lengths:
            if key not in LENGTHS:
                raise ValueError(f'train_cfg: PhaseLoop takes no {key!r}{did_you_mean(key, LENGTHS)}')
        if lengths:
            runner.logger.info(f'train_cfg: {lengths} are not used: the schedule gives the lengths of its phases')
        if not isinstance(dataloader, dict):
            raise TypeError('PhaseLoop needs the config of the training data loader, not a built one')
        if 'schedule' not in runner.cfg:
            raise TypeError("PhaseLoop: the config has no `schedule`, such as dict(type='Stagewise', phase_epochs=50)")
        if runner.cfg.get('strategy') is not None:
            raise ValueError(f"PhaseLoop does not work with a `strategy` ({runner.cfg.strategy.get('type')}): phases "
                             "need MMEngine's Runner and its data-parallel wrapper")
        for key, option in (('compile', 'compile'), ('activation_checkpointing', 'gradient_checkpointing')):
            if runner.cfg.get(key):
                raise ValueError(f'PhaseLoop does not work with `{key}` at the top of a config: it does not outlast a '
                                 f'phase, or moves the statistics of BN twice; set `model.{option}`')
        distiller = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not hasattr(distiller, 'activate'):
            raise TypeError(f'PhaseLoop trains a skd_mm.Distiller, not a {type(distiller).__name__}; a plain model is '
                            "trained with MMEngine's own loops")
        self.distiller = distiller
        runner.message_hub.update_info(FOLLOWS_SCHEDULE, True, resumed=False)
        self.loader_cfg = dataloader
        self.dataset = build_dataset(dataloader['dataset'], 'train_dataloader.dataset')
        classes = (getattr(self.dataset, 'metainfo', None) or {}).get('classes') or ()
        if isinstance(distiller.teacher, LabelTeacher) and len(classes) > distiller.teacher.num_classes:
            raise ValueError(f'model.teacher has num_classes={distiller.teacher.num_classes}, and the data set of '
                             f'train_dataloader {len(classes)} classes')
        validation = runner._val_dataloader
        if isinstance(validation, dict):
            dataset = build_dataset(validation['dataset'], 'val_dataloader.dataset')
            runner._val_dataloader = dict(validation, dataset=NamedDataset(dataset))
        recipe: Recipe = build(RECIPES, runner.cfg.schedule)
        self.recipe = recipe
        self.phases = recipe.phases(distiller.stage_names(), distiller.spot_names())
        self.seed = runner.seed
        self.batch_size = dataloader['batch_size']
        self.stop_training = False
        self.index = 0
        self.phase_iter = 0
        self._iter = 0
        self._epoch = 0
        self._resumed = False
        self._task_checked = False
        self._optim_cfg = copy.deepcopy(runner.cfg.get('optim_wrapper') or {})
        self._scheduler_cfg = copy.deepcopy(runner.cfg.get('param_scheduler') or [])
        # The Runner would scale the learning rate of the first phase only, and once more.
        self._auto_scale_lr, runner.auto_scale_lr = runner.auto_scale_lr, None
        try:
            self._indices = {phase.fraction: fraction_indices(self.dataset, phase.fraction, recipe.fraction_seed)
                             for phase in self.phases}
        except ValueError as error:
            raise ValueError(f'`schedule.fraction`: {error}') from error
        if recipe.cache:
            check_deterministic(self.dataset, distiller.data_preprocessor, recipe.cache.views)
        self._kept = SampleCache(int(recipe.cache.images * 2**30))
        super().__init__(runner, self._build_loader(start=0))
        self._check_phases()
        self._evaluators: tuple[Evaluator, Evaluator] | None = None
        runner.visualizer.dataset_meta = self.dataloader.dataset.metainfo
        self._replace_default_hooks()
        self._prepare()

    @property
    def phase(self) -> Phase:
        """The phase that is on."""
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
        """Iterations of the whole run, if no phase ends early."""
        before = sum(self.length(phase) for phase in self.phases[:self.index])
        return self._iter - self.phase_iter + sum(map(self.length, self.phases)) - before

    @property
    def max_epochs(self) -> int:
        """Epochs of the whole run, if no phase ends early."""
        return sum(-(-self.length(phase) // self.epoch_length(phase)) for phase in self.phases)

    def epoch_length(self, phase: Phase) -> int:
        """Iterations in an epoch of a phase."""
        return len(self._indices[phase.fraction]) // (self.batch_size * get_world_size())

    def length(self, phase: Phase) -> int:
        """Iterations in a phase."""
        return phase.iters if phase.iters is not None else int(phase.epochs or 0) * self.epoch_length(phase)

    def state_dict(self) -> dict[str, Any]:
        """Where the run stands, for a checkpoint."""
        return dict(phases=[phase.name for phase in self.phases], index=self.index, phase=self.phase.name,
                    phase_iter=self.phase_iter, stopped=self.stop_training, seed=self.seed)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Rebuilds the phase of a checkpoint, so that its optimizer state can be read into it.

        Args:
            state: What :meth:`state_dict` gave.

        Raises:
            ValueError: It is of a schedule with other phases.
        """
        names = [phase.name for phase in self.phases]
        if state['phases'] != names:
            raise ValueError(f'the checkpoint to resume from has the phases {state["phases"]}, the config {names}')
        self.index, self.phase_iter, self.seed = state['index'], state['phase_iter'], state['seed']
        self.stop_training = state['stopped']
        self._resumed = True
        self._prepare()

    def run(self) -> nn.Module:
        """Trains all phases that are left.

        Returns:
            The model, behind its last phase.
        """
        self.runner.call_hook('before_train')
        try:
            if not self._task_checked:
                self.check_task()
            self._keep_validation()
            while True:
                self._run_phase()
                if self.index + 1 == len(self.phases):
                    break
                self._hand_over()
        except Exception as error:
            kept = self.checkpoints.last
            self.runner.logger.error(
                f'{self._place()}: the run stops with a {type(error).__name__}; '
                + (f'the last checkpoint is {kept}, and --resume goes on from there' if kept else
                   'there is no checkpoint yet'))
            raise
        if self.distiller.cache is not None:
            self.distiller.cache.remove()
        self.runner.call_hook('after_train')
        return self.runner.model

    def _place(self) -> str:
        """Where the run stands, for messages."""
        return (f'phase {self.index + 1}/{len(self.phases)} {self.phase.name}, iteration {self.phase_iter + 1} of '
                f'{self.length(self.phase)}')

    def _check_phases(self) -> None:
        """Finds what is wrong with any phase before the first one starts."""
        for phase in self.phases:
            samples, batch = len(self._indices[phase.fraction]), self.batch_size * get_world_size()
            if not self.epoch_length(phase):
                raise ValueError(f'phase {phase.name!r}: {samples} training samples (fraction {phase.fraction}) are '
                                 f'fewer than one batch of {batch}; use a larger `schedule.fraction` or a smaller '
                                 '`train_dataloader.batch_size`')
            try:
                self._activate(phase)
            except (KeyError, RuntimeError, ValueError) as error:
                raise ValueError(f'phase {phase.name!r}: {error.args[0]}') from error
            if not self.distiller.trainable():
                raise ValueError(f'phase {phase.name!r}: nothing in {phase.train} has parameters to train')
            try:
                self._build_optimization(phase, None)
            except (KeyError, TypeError, ValueError, AssertionError) as error:
                raise ValueError(f'phase {phase.name!r}: its optim_wrapper or param_scheduler cannot be built: '
                                 f'{error}') from error

    def check_task(self) -> None:
        """Tries the task on an image: what is wrong with it is not to end a run behind all its feature phases.

        :meth:`run` does it, and whoever wants to know before that there is a run.

        Raises:
            DataError: The image cannot be read.
            ValueError: The student cannot learn from an image of the training data, cannot predict one of the
                validation data, or the evaluator cannot measure that; or ``save_best`` is not what it measures.
        """
        self._task_checked = True
        task = next((phase for phase in self.phases[self.index:] if phase.task), None)
        if task is None:
            return
        # The weights that a run begins with may yet be drawn: it is to leave no trace in the random state.
        with temporary_seed(derive_seed(self.seed, 'trial', get_rank())):
            self._try(task)

    def _try(self, task: Phase) -> None:
        # Nothing of it is to be in the cache, which would belong to other weights.
        self.distiller.activate(task.train, task.spots, task.task, task.frozen_bn)
        self.distiller.eval()
        try:
            if not self._resumed:
                first = int(self._indices[task.fraction][0])
                check_losses(self.distiller, self.dataloader, (first, self.seed), task.name)
            if self.runner.val_loop is not None:
                disabled, self.runner.logger.disabled = self.runner.logger.disabled, True
                try:
                    metrics = check_validation(self.distiller, self.runner.val_loop.dataloader, self._evaluator(task),
                                             self.runner.cfg.val_evaluator)
                finally:
                    self.runner.logger.disabled = disabled
                if metrics is not None and self.checkpoints.save_best != 'auto':
                    self.checkpoints.metric(task, metrics)
        finally:
            self._activate(self.phase)

    def _replace_default_hooks(self) -> None:
        """Puts the parts that know of phases where the config has MMEngine's."""
        runner = self.runner
        hooks = runner._hooks
        # One hook writes: the config's own, wherever it stands, else what MMEngine's was told (by default, or last).
        given = [hook for hook in hooks if isinstance(hook, PhaseCheckpointHook)]
        if len(given) > 1:
            raise ValueError('the config has several PhaseCheckpointHooks; give one, as `default_hooks.checkpoint`')
        replaced = [hook for hook in hooks if isinstance(hook, CheckpointHook)]
        self.checkpoints = given[0] if given else (
            PhaseCheckpointHook.from_mmengine(replaced[-1]) if replaced else PhaseCheckpointHook())
        hooks[:] = [hook for hook in hooks if not isinstance(hook, CheckpointHook)]
        if not given:
            runner.register_hook(self.checkpoints)
        for hook in hooks:
            if isinstance(hook, LoggerHook):
                hook.log_metric_by_epoch = False
        if not any(isinstance(hook, PhaseHook) for hook in hooks):
            runner.register_hook(PhaseHook())
        if self.distiller.router is not None and not any(isinstance(hook, KeepRateHook) for hook in hooks):
            runner.register_hook(KeepRateHook())
        processor = runner.log_processor
        if type(processor) is LogProcessor:
            runner.log_processor = PhaseLogProcessor(
                window_size=processor.window_size, custom_cfg=processor.custom_cfg, num_digits=processor.num_digits)

    def _activate(self, phase: Phase) -> None:
        self.distiller.activate(phase.train, phase.spots, phase.task, phase.frozen_bn, self._cache(phase))

    def _cache(self, phase: Phase) -> FeatureCache | None:
        settings, runner = self.recipe.cache, self.runner
        if not settings:
            return None
        files = None
        if settings.disk:
            run = Path(runner.work_dir).resolve()
            # Two runs never share a folder, though both may be told to use the same disk.
            folder = run / 'feature_cache' if settings.dir is None else \
                Path(settings.dir) / f'{run.name}-{derive_seed(str(run)):08x}'
            files = FeatureFiles(folder / f'rank{get_rank()}', lambda: self._features_depend_on(phase),
                                 int(settings.disk * 2**30))
        return FeatureCache(int(settings.memory * 2**30), files,
                            None if settings.dtype == 'float32' else getattr(torch, settings.dtype))

    def _features_depend_on(self, phase: Phase) -> str:
        cfg = {key: value for key, value in self.runner.cfg.to_dict().items() if key not in LOCATIONS}
        data = [samples_of(self.dataset, self._indices[phase.fraction])]
        if self.runner.val_loop is not None:
            data.append(samples_of(self._validated()))
        return fingerprint(cfg, phase.name, self.seed, get_world_size(), data, self.distiller.frozen())

    def _prepare(self) -> None:
        """Freeze, wrap, optimizer, schedules and loader of the phase that is on."""
        runner, phase = self.runner, self.phase
        self._activate(phase)
        # What a phase accumulated and did not apply ends with it.
        self.distiller.zero_grad()
        self.discriminators: nn.Module | None = self.distiller.active_discriminators()
        if is_distributed():
            # DDP reads requires_grad when it wraps; it also hands rank 0's weights to all. The discriminators have a
            # step, and so a wrapper, of their own.
            discriminator_params = set(self.discriminators.parameters()) if self.discriminators is not None else set()
            DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(
                self.distiller, [name for name, parameter in self.distiller.named_parameters()
                                 if parameter in discriminator_params])
            runner.model = self._wrap(self.distiller)
            if self.discriminators is not None:
                self.discriminators = self._wrap(self.discriminators)
        self._build_optimization(phase, self._auto_scale_lr)
        self.dataloader = self._build_loader(self.phase_iter)

    def _wrap(self, model: nn.Module) -> nn.Module:
        return self.runner.wrap_model(copy.deepcopy(self.runner.cfg.get('model_wrapper_cfg')), model)

    def _build_optimization(self, phase: Phase, auto_scale_lr: dict[str, Any] | None) -> None:
        """The optimizer and the schedules of a phase, for what is activated."""
        runner = self.runner
        cfg = Config(dict(optim_wrapper=copy.deepcopy(self._optim_cfg)))
        # Merging takes `_delete_` out of what it merges.
        cfg.merge_from_dict(dict(optim_wrapper=copy.deepcopy(phase.optim_wrapper)))
        runner.param_schedulers = None
        optim_cfg = cfg.optim_wrapper.to_dict()
        changes = optim_cfg.pop('discriminator', None)
        wrapper = runner.build_optim_wrapper(optim_cfg)
        discriminators = self.distiller.active_discriminators()
        discriminator_params = set(discriminators.parameters()) if discriminators is not None else set()
        for group in wrapper.optimizer.param_groups:
            group['params'] = [parameter for parameter in group['params'] if parameter not in discriminator_params]
        if phase.optimizer_params == 'trainable':
            self._keep_trainable(phase, wrapper.optimizer, discriminator_params)
        runner.optim_wrapper = wrapper
        runner.scale_lr(wrapper, auto_scale_lr)
        schedulers = self._scheduler_cfg if phase.param_scheduler is None else phase.param_scheduler
        runner.param_schedulers = self._build_schedulers(phase, schedulers)
        if discriminators is not None:
            runner.optim_wrapper = build_alternating(wrapper, discriminators, changes)
            runner.param_schedulers = dict(student=runner.param_schedulers, discriminator=[])

    def _keep_trainable(self, phase: Phase, optimizer: Any, discriminator_params: set[nn.Parameter]) -> None:
        """Leaves exactly what learns in the optimizer, whatever constructor made its groups."""
        for group in optimizer.param_groups:
            group['params'] = [parameter for parameter in group['params'] if parameter.requires_grad]
        optimizer.param_groups[:] = [group for group in optimizer.param_groups if group['params']]
        held = [id(parameter) for group in optimizer.param_groups for parameter in group['params']]
        names = {id(parameter): name for name, parameter in self.distiller.trainable().items()
                 if parameter not in discriminator_params}
        if sorted(held) != sorted(names):
            lost = [name for key, name in names.items() if key not in held]
            raise RuntimeError(f'phase {phase.name!r}: the optimizer does not hold exactly what learns; '
                               f'not held: {lost[:5]}, held twice: {len(held) - len(set(held))}')

    def _build_schedulers(self, phase: Phase, cfgs: Any) -> list[Any]:
        cfgs = [cfgs] if isinstance(cfgs, dict) else list(cfgs)
        filled = []
        for cfg in cfgs:
            by_epoch = cfg.get('by_epoch', True)
            whole = -(-self.length(phase) // self.epoch_length(phase)) if by_epoch else self.length(phase)
            cfg = dict(cfg)
            cfg.setdefault('end', whole)
            if 'OneCycle' in str(cfg['type']):
                cfg.setdefault('total_steps', whole)
            filled.append(cfg)
        # The Runner asks its training loop for the number of batches in an epoch.
        loop, self.runner._train_loop = self.runner._train_loop, self
        try:
            return self.runner.build_param_scheduler(filled) if filled else []
        finally:
            self.runner._train_loop = loop

    def _build_loader(self, start: int) -> Any:
        cfg = {key: value for key, value in self.loader_cfg.items()
               # Its epochs have no end that workers would have to outlive.
               if key not in ('dataset', 'sampler', 'batch_sampler', 'drop_last', 'persistent_workers')}
        sampler = PhaseSampler(self._indices[self.phase.fraction], self.batch_size, self.seed, self.index, start,
                               get_rank(), get_world_size(), self.recipe.cache.views)
        loader = Runner.build_dataloader(
            dict(cfg, dataset=SeededDataset(self.dataset), sampler=sampler, drop_last=True), seed=self.seed)
        return PhaseLoader(loader, self._kept) if self.recipe.cache else loader

    def _begin_phase(self) -> None:
        runner, phase = self.runner, self.phase
        if runner.val_loop is not None:
            runner.val_loop.evaluator = self._evaluator(phase)
        runner.optim_wrapper.initialize_count_status(runner.model, self.phase_iter, self.length(phase))
        trainable = self.distiller.trainable()
        indices = self._indices[phase.fraction]
        state = f'resumed behind iteration {self.phase_iter} of' if self._resumed else 'phase'
        used = self.epoch_length(phase) * self.batch_size * get_world_size()
        runner.logger.info(
            f'{state} {self.index + 1}/{len(self.phases)} {phase.name}: trains '
            f'{sum(p.numel() for p in trainable.values()):,} parameters in {phase.train}; spots {list(phase.spots)}; '
            f'task loss {"on" if phase.task else "off"}; {len(indices)} of {len(self.dataset)} images, {used} used an '
            f'epoch; {self.length(phase)} iterations')
        if phase.fraction < 1 and is_main_process():
            write_fraction(Path(runner.work_dir) / f'fraction_{phase.fraction:g}_seed_{self.recipe.fraction_seed}.txt',
                           sample_names(self.dataset, indices), phase.fraction, self.recipe.fraction_seed)
        if not self._resumed:
            # What another phase logged is not to stand in this one's lines.
            for key in [key for key in runner.message_hub.log_scalars if key.startswith(('train/', 'val/'))]:
                runner.message_hub.log_scalars.pop(key)
                runner.message_hub._resumed_keys.pop(key, None)
            runner.call_hook('before_phase')
        self._resumed = False

    def _validated(self) -> Any:
        """The data set of the validation."""
        dataset = self.runner.val_loop.dataloader.dataset
        return dataset.dataset if isinstance(dataset, NamedDataset) else dataset

    def _keep_validation(self) -> None:
        """Reads the images of the validation once, where that is what the user wants and they do not change."""
        loop = self.runner.val_loop
        if not self.recipe.cache or loop is None or getattr(loop.dataloader.sampler, 'shuffle', True):
            return
        try:
            check_deterministic(self._validated(), self.distiller.data_preprocessor)
        except ValueError:
            return
        loop.dataloader = ValidationLoader(loop.dataloader, self._kept)

    def _evaluator(self, phase: Phase) -> Evaluator:
        """The config's metrics for a phase with a task loss; the spot loss, as the config has it, for one without."""
        if self._evaluators is None:
            whole = self.runner.val_loop.evaluator
            spot = [metric for metric in whole.metrics if isinstance(metric, SpotLossMetric)]
            task = Evaluator([metric for metric in whole.metrics if not isinstance(metric, SpotLossMetric)])
            task.dataset_meta = whole.dataset_meta
            self._evaluators = task, Evaluator(spot or [SpotLossMetric()])
        return self._evaluators[0 if phase.task else 1]

    def _run_phase(self) -> None:
        runner, phase = self.runner, self.phase
        self._begin_phase()
        epoch_length, length = self.epoch_length(phase), self.length(phase)
        unit = epoch_length if phase.unit == 'epochs' else 1
        val_interval = unit * phase.val_interval if phase.val_interval else length
        save_interval = unit * self.checkpoints.interval if self.checkpoints.interval else val_interval
        runner.model.train()
        batches: Iterator[Any] | None = None
        due = False
        while self.phase_iter < length and not self.stop_training:
            # A run that is resumed in the middle of an epoch begins one for the hooks.
            if batches is None or self.phase_iter % epoch_length == 0:
                runner.call_hook('before_train_epoch')
            if batches is None:
                batches = iter(self.dataloader)
            self._run_iter(next(batches))
            if self.phase_iter % epoch_length == 0:
                runner.call_hook('after_train_epoch')
                self._epoch += 1
            at_end = self.phase_iter == length
            if self.phase_iter % val_interval == 0 or at_end:
                self._validate()
            due = due or self.phase_iter % save_interval == 0
            ends = at_end or self.stop_training
            # Gradients that are not applied yet are in no checkpoint: it waits for the update.
            saves = ends or (due and runner.optim_wrapper.should_update())
            if saves:
                self._share_buffers()
            runner.call_hook('after_step', due=saves)
            due = due and not saves
        self.stop_training = False
        if self.distiller.cache is not None:
            runner.logger.info(f'phase {phase.name}: the cache holds {self.distiller.cache.summary()}')
        runner.call_hook('after_phase')

    def _run_iter(self, batch: Any) -> None:
        # As in MMEngine's iteration-based loop; a data fraction's epoch may be too short to log by.
        runner, batch_idx = self.runner, self.phase_iter
        # What an iteration draws (dropout, mixup, gates) depends on where it stands, not on how the run got there.
        seed_everything(derive_seed(self.seed, 'step', self.index, self.phase_iter, get_rank()))
        runner.call_hook('before_train_iter', batch_idx=batch_idx, data_batch=batch)
        try:
            if self.discriminators is None:
                outputs = runner.model.train_step(batch, optim_wrapper=runner.optim_wrapper)
            else:
                outputs = adversarial_step(runner.model, self.discriminators, batch, runner.optim_wrapper)
        except FloatingPointError as error:
            raise FloatingPointError(f'{self._place()}: {error}') from None
        runner.call_hook('after_train_iter', batch_idx=batch_idx, data_batch=batch, outputs=outputs)
        self._iter += 1
        self.phase_iter += 1

    def _validate(self) -> None:
        runner = self.runner
        self._share_buffers()
        if runner.val_loop is None:
            return
        # A teacher that draws its answers is to draw the same where a run is resumed with a validation.
        seed_everything(derive_seed(self.seed, 'validation', self.index, self.phase_iter, get_rank()))
        runner.val_loop.run()
        runner.model.train()

    def _share_buffers(self) -> None:
        """Gives all processes the BN statistics of rank 0, which the checkpoint holds."""
        if is_distributed():
            for buffer in self.distiller.buffers():
                torch_dist.broadcast(buffer, 0)

    def _hand_over(self) -> None:
        """Starts the next phase from the best or last weights of the one that has ended."""
        following = self.phases[self.index + 1]
        # Without validation there is no best.
        handover = following.handover if self.runner.val_loop is not None else 'last'
        if is_main_process():
            # Whoever has written the file knows that it is there. The others get the weights when the model is wrapped.
            file = self.checkpoints.handover_file(self.runner, self.phase.name, handover)
            self.runner.logger.info(f'phase {following.name} starts from {file} ({handover} of {self.phase.name})')
            weights = _load_checkpoint(str(file), map_location='cpu', logger='silent')['state_dict']
            self.distiller.load_state_dict(weights)
        self.index += 1
        self.phase_iter = 0
        self._prepare()
