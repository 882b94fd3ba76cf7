"""Plan of the demo: its runs, and how long each trains."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from rich import box
from rich.table import Table

from skd_mm.analysis import flops
from skd_mm.distillers import Distiller
from skd_mm.schedules import Phase

from .settings import DATA, DISTILLED, TITLES, WORK_DIR, Size


@dataclass
class Run:
    """A training and the tests of its checkpoints.

    Attributes:
        name: Name of its config in ``configs/demo`` and of its folder in the work directory.
        options: Settings that override those of the config.
        epochs: Epochs of each phase.
        images: Number of images that it trains on, with or without their labels.
        phases: Names of its phases.
        network: ``'teacher'`` or ``'student'``.
        cost: Floating point operations of the training.
    """

    name: str
    options: dict[str, Any]
    epochs: tuple[int, ...]
    images: int
    phases: tuple[str, ...]
    network: str
    cost: flops.TrainingCost

    @property
    def title(self) -> str:
        """How the run is called."""
        return TITLES[self.name]

    @property
    def length(self) -> str:
        """Phases and epochs."""
        if len(self.phases) == 1:
            return str(self.epochs[0])
        if len(set(self.epochs)) == 1:
            return f'{len(self.phases)} x {self.epochs[0]}'
        return f'{len(self.phases)} phases'

    @property
    def config(self) -> str:
        """Path of the config, relative to the root of the repository."""
        return f'configs/demo/{self.name}.py'


@dataclass
class Plan:
    """All runs of the demo.

    Attributes:
        runs: The runs, the teacher first.
        networks: Parameters and MACs of the teacher and the student.
    """

    runs: list[Run]
    networks: dict[str, dict[str, int]]


@dataclass
class _Count:
    """Cost of a config per image, phase by phase."""

    distiller: Distiller
    phases: Sequence[Phase]
    costs: Sequence[flops.PhaseCost]
    batch_size: int

    def training(self, images: int) -> flops.TrainingCost:
        return flops.training_flops(self.costs, self.phases, images, self.batch_size)


def make_plan(root: Path, folder: Path, size: Size) -> Plan:
    """Count the stagewise run, and plan the baselines to cost as many floating point operations.

    Args:
        root: Root of the repository.
        folder: The work directory.
        size: How large the demo is.
    """
    counts = {name: _count(root, name, size) for name in TITLES}
    budget = counts['skd'].training(size.train)
    runs = []
    for name, count in counts.items():
        options = run_options(name, folder, size)
        images = flops.images_of(count.phases[0], size.train)
        if name in ('no_teacher', 'simultaneous'):
            epochs = flops.equal_epochs(budget.truncated, count.costs[0].truncated, images, count.batch_size)
            count.phases = [replace(count.phases[0], epochs=epochs)]
            options['schedule.phase_epochs'] = epochs
        network = 'teacher' if name == 'teacher' else 'student'
        names = tuple(phase.name for phase in count.phases)
        lengths = tuple(int(phase.epochs or 0) for phase in count.phases)
        runs.append(Run(name, options, lengths, images, names, network, count.training(size.train)))
    networks = {}
    for role in ('teacher', 'student'):
        network = getattr(counts['skd'].distiller, role)
        networks[role] = asdict(flops.network_cost(network, (3, *size.pixels)))
    return Plan(runs, networks)


def _count(root: Path, name: str, size: Size) -> _Count:
    """Count a config; the teacher is counted as a student without a teacher."""
    cfg = Config.fromfile(root / 'configs' / 'demo' / f'{"no_teacher" if name == "teacher" else name}.py')
    cfg.merge_from_dict(dict(size.student))
    if name == 'teacher':
        teacher = Config.fromfile(root / 'configs' / 'demo' / 'teacher.py')
        teacher.merge_from_dict(dict(size.teacher))
        cfg.model.student = dict(cfg=teacher)
        cfg.schedule = dict(type='NoTeacher', phase_epochs=teacher.train_cfg.max_epochs)
    return _Count(*flops.config_cost(cfg, (3, *size.pixels)), cfg.train_dataloader.batch_size)


def run_options(name: str, folder: Path, size: Size) -> dict[str, Any]:
    """Return the settings that override those of a run's config, except for a baseline's epochs.

    Args:
        name: Name of the run.
        folder: The work directory.
        size: How large the demo is.
    """
    options: dict[str, Any] = dict(size.teacher if name == 'teacher' else size.student)
    if folder != Path(WORK_DIR):
        for split in ('train', 'val', 'test'):
            options[f'{split}_dataloader.dataset.data_root'] = str(folder / DATA)
        if name == 'few_labels':
            options['unlabelled_dataloader.dataset.data_root'] = str(folder / DATA / 'train')
        if name in DISTILLED:
            options['model.teacher.checkpoint'] = str(folder / 'teacher' / 'best_mIoU_*.pth')
    return options


def plan_table(plan: Plan) -> Table:
    """Return the runs as a table for the terminal, at most 80 columns wide."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column('training', no_wrap=True)
    for header in ('parameters', 'images', 'epochs', 'GFLOPs', 'with cache'):
        table.add_column(header, justify='right', no_wrap=True)
    for run in plan.runs:
        network = plan.networks[run.network]
        table.add_row(run.title, f'{network["parameters"]:,}', str(run.images), run.length,
                      f'{run.cost.truncated / 1e9:,.0f}', f'{run.cost.cached / 1e9:,.0f}')
    return table
