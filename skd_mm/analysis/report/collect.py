"""Everything that is known of the runs of a report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mmengine.logging import print_log

from skd_mm.tasks import task_of
from skd_mm.utils import error_message

from . import costs
from .classification import Classifications
from .costs import Cost
from .detection import Detections
from .inference import prepare
from .segmentation import Segmentations
from .sources import ReportRun, Sources

View = Segmentations | Classifications | Detections
VIEWS: dict[str, Callable[..., View]] = dict(
    segmentation=Segmentations, classification=Classifications, detection=Detections)


@dataclass
class Report:
    """Everything that a page shows.

    Attributes:
        sources: The runs and studies.
        metric: Name of the metric that is compared.
        split: The split that results are measured on.
        colours: Colour of each method.
        gallery_size: Number of images in the gallery.
        costs: Compute of each method.
        latencies: Milliseconds per image of each method, as far as they were measured.
        view: Predictions of all networks; None without.
        tested: The runs whose networks predicted, by the name of the method.
        notes: What is missing, in sentences.
    """

    sources: Sources
    metric: str
    split: str
    colours: dict[str, str]
    gallery_size: int
    costs: dict[str, Cost] = field(default_factory=dict)
    latencies: dict[str, float] = field(default_factory=dict)
    view: View | None = None
    tested: dict[str, ReportRun] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def representatives(self) -> list[ReportRun]:
        """One run per method."""
        return self.sources.representatives()

    @property
    def tested_methods(self) -> list[str]:
        """Methods whose networks predicted."""
        return list(self.tested)

    @property
    def students(self) -> list[str]:
        """Those of them that are no teachers."""
        return [name for name, run in self.tested.items() if not run.is_teacher]

    @property
    def tested_images(self) -> int:
        """Number of images that the networks predicted."""
        return 0 if self.view is None else len(self.view.tested.indices)

    def measured(self) -> dict[int, float]:
        """Return what was measured for this page, by the identity of the run, if it is the page's metric."""
        if isinstance(self.view, Segmentations) and self.metric == 'mIoU':
            values = {name: means['mIoU'] for name, means in self.view.means().items()}
        elif isinstance(self.view, Classifications) and self.metric == 'accuracy/top1':
            values = self.view.accuracies()
        else:
            values = {}
        return {id(self.tested[name]): value for name, value in values.items()}

    def count(self) -> None:
        """Count the compute of each method; methods with the same settings are counted once."""
        known: dict[str, Cost] = {}
        for run in self.representatives:
            key = costs.count_key(run.cfg)
            try:
                if key not in known:
                    known[key] = costs.count(run)
                self.costs[run.method] = known[key]
            except Exception as error:  # a page without a number is better than none
                self.notes.append(f'The compute of {run.method} is not counted: {error_message(error)}')

    def predict(self, images: int) -> None:
        """Let one network per method predict the images of the split.

        Args:
            images: Number of images at most.
        """
        for run in self.representatives:
            if run.checkpoint is None:
                continue
            print_log(f'{run.method}: predicting the {self.split} split', logger='current')
            try:
                self._predict(run, images)
            except Exception as error:
                self.notes.append(f'{run.method} is not tested for this page: {error_message(error)}')

    def _predict(self, run: ReportRun, images: int) -> None:
        tested = prepare(run, self.split, images)
        task = task_of(tested.network).name
        if task not in VIEWS:
            raise ValueError(f'predictions of {task} are not shown')
        view = self.view or VIEWS[task](tested)
        if not isinstance(view, type(VIEWS[task](tested))):
            raise ValueError(f'its task is {task}, unlike that of the first network')
        view.add(tested)
        self.view = view
        self.tested[run.method] = run


def ordered(runs: Sequence[ReportRun]) -> list[str]:
    """Return the names of the methods, teachers first."""
    return list(dict.fromkeys(run.method for run in sorted(runs, key=lambda run: not run.is_teacher)))
