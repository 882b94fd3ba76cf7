"""The demo from data to report."""

import hashlib
import json
import shlex
import shutil
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import torch

from skd_mm.analysis.run_files import best_checkpoint, find_commit, last_checkpoint, newest, same_weights
from skd_mm.synthetic import make_street_scenes
from skd_mm.synthetic.street_scenes.writer import MARKER
from skd_mm.utils import write_json

from .pictures import draw_curves, draw_predictions
from .plan import Plan, Run, make_plan, plan_table
from .processes import ToolRunner
from .progress import Display, TrainingProgress
from .record import RunRecord
from .results import collect_results, markdown, results_notes, results_table
from .settings import DATA, DISTILLED, RECORD, TITLES, Size


class Demo:
    """The runs of the demo and their report.

    Args:
        root: Root of the repository, which is the working directory.
        folder: The work directory, relative to the root if it is in there.
        size: How large the demo is.
        seed: Seed of all trainings.
        jobs: Number of runs at a time.

    Raises:
        Stopped: Another demo is running in the folder.
    """

    def __init__(self, root: Path, folder: Path, size: Size, seed: int, jobs: int) -> None:
        self.root = root
        self.folder = folder
        self.size = size
        self.seed = seed
        self.jobs = jobs
        self.tools = ToolRunner(root, folder)
        self.display = Display()

    def clean(self) -> None:
        """Remove what an earlier demo generated, and nothing else."""
        for path in [self.folder / DATA / MARKER, *(self.folder / name / RECORD for name in TITLES)]:
            if path.is_file():
                shutil.rmtree(path.parent)

    def run(self) -> None:
        """Generate the data, train and test all networks, and report.

        Raises:
            Stopped: A run failed.
        """
        size, console = self.size, self.display.console
        self.display.log('data', f'{size.train} training, {size.val} validation and {size.test} test images of '
                         f'{size.pixels[0]}x{size.pixels[1]} pixels in {self.folder / DATA}')
        make_street_scenes(self.folder / DATA, size.train, size.val, size.test, size.pixels)
        plan = make_plan(self.root, self.folder, size)
        self.display.log('plan', 'a teacher, and the same student without it, with all spots at once, stagewise, and '
                         'stagewise with images without labels')
        console.print(plan_table(plan))
        with self.display:
            records = self.run_all(plan.runs)
        self.report(plan, records)

    def report(self, plan: Plan, records: dict[str, dict[str, Any]]) -> None:
        """Write and print the results.

        Args:
            plan: The runs.
            records: Records of the runs by name.
        """
        console = self.display.console
        results = collect_results(plan, records, self.root, self.folder)
        results.update(seed=self.seed, runs_at_a_time=self.jobs, seconds=round(self.display.seconds, 1))
        files = dict(numbers=self.folder / 'results.json', table=self.folder / 'results.md')
        write_json(files['numbers'], results)
        files['table'].write_text(markdown(results))
        files['curves'] = draw_curves(self.folder)
        files['predictions'] = draw_predictions(self.folder)
        self.display.log('done', '')
        console.print(results_table(results))
        for note in results_notes(results):
            console.print(note, markup=False, soft_wrap=False)
        console.print()
        for what, path in files.items():
            console.print(f'{what:13}{path}', markup=False)

    def run_all(self, runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
        """Train and test everything, as many runs at a time as there are jobs.

        Args:
            runs: The runs, the teacher first.

        Returns:
            Records of the runs by name.
        """
        teacher, *students = runs
        with ThreadPoolExecutor(self.jobs) as pool:
            # The teacher is first in the queue: it is running, or finished, when a student waits for it.
            trained = pool.submit(self.train, teacher)
            futures = {run.name: pool.submit(self.train_and_test, run, trained) for run in students}
            futures[teacher.name] = pool.submit(lambda: self.test(teacher, trained.result()))
            every: list[Future[Any]] = [trained, *futures.values()]
            try:
                for future in wait(every, return_when=FIRST_EXCEPTION).done:
                    future.result()
            except BaseException:
                self.tools.stop()
                raise
        return {name: future.result() for name, future in futures.items()}

    def train_and_test(self, run: Run, teacher: Future[RunRecord]) -> dict[str, Any]:
        """Train a student once its teacher is trained, and test it.

        Args:
            run: The run.
            teacher: Future record of the teacher.

        Returns:
            The values of the run's record.
        """
        record = self.train(run, teacher.result() if run.name in DISTILLED else None)
        return self.test(run, record)

    def train(self, run: Run, teacher: RunRecord | None = None) -> RunRecord:
        """Train a network unless that is done; resume an interrupted training.

        Args:
            run: The run.
            teacher: Record of its teacher. Defaults to None.

        Returns:
            Record of the run.
        """
        self.tools.check()
        folder = self.folder / run.name
        record = RunRecord(folder / RECORD, self.identity(run, teacher))
        if record['trained']:
            self.display.log(run.title, 'already trained')
            return record
        command = ['tools/train.py', run.config, '--work-dir', str(folder), '--seed', str(self.seed)]
        if run.options:
            command += ['--cfg-options', *(f'{key}={value}' for key, value in run.options.items())]
        resume = (folder / 'last_checkpoint').is_file()
        self.display.log(run.title, 'training resumes' if resume else 'training starts')
        record.update(command=shlex.join(['python', *command]), commit=find_commit())
        progress = TrainingProgress(self.display, run, folder, record)
        self.tools.call([*command, *(['--resume'] if resume else [])], folder / 'train.log', progress.poll)
        progress.end()
        record.update(trained=True)
        return record

    def test(self, run: Run, record: RunRecord) -> dict[str, Any]:
        """Test the best and the last checkpoint on the test split unless that is done.

        Args:
            run: The run.
            record: Its record.

        Returns:
            The values of the record.
        """
        folder = self.folder / run.name
        checkpoints = dict(best=best_checkpoint(folder), last=last_checkpoint(folder))
        for which, checkpoint in checkpoints.items():
            if which in record['test']:
                continue
            if which == 'last' and same_weights(*checkpoints.values()):
                result = dict(record['test']['best'], checkpoint=str(checkpoint))
            else:
                result = self._test_checkpoint(run, which, checkpoint)
                self.display.log(run.title, f'test mIoU {result["mIoU"]:.2f} ({which} checkpoint)')
            record.update(test={**record['test'], which: result})
        return record.values

    def _test_checkpoint(self, run: Run, which: str, checkpoint: Path) -> dict[str, Any]:
        out = self.folder / run.name / f'test_{which}'
        shutil.rmtree(out, ignore_errors=True)
        command = ['tools/test.py', run.config, str(checkpoint), '--work-dir', str(out), '--out', str(out / 'labels')]
        if root := run.options.get('test_dataloader.dataset.data_root'):
            command += ['--cfg-options', f'test_dataloader.dataset.data_root={root}']
        self.tools.call(command, self.folder / run.name / f'test_{which}.log')
        metrics = json.loads(newest(out, '*/*.json').read_text())
        return dict(mIoU=round(metrics['mIoU'], 2), checkpoint=str(checkpoint),
                    command=shlex.join(['python', *command]))

    def identity(self, run: Run, teacher: RunRecord | None) -> dict[str, Any]:
        """Return everything that determines the results of a run, so that an earlier one can be used instead.

        Args:
            run: The run.
            teacher: Record of its teacher.
        """
        configs = self.root / 'configs'
        files = sorted(configs.glob('demo/**/*.py')) + sorted((configs / '_base_').rglob('*.py'))
        digest = hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()
        data = json.loads((self.folder / DATA / MARKER).read_text())
        return dict(config=run.config, options=run.options, configs=digest, seed=self.seed, data=data,
                    torch=torch.__version__, teacher=teacher and teacher['identity'])
