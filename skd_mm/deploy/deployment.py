"""From a checkpoint to a folder of verified, tested and timed files."""

import copy
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import Tensor

from skd_mm.distillers.networks import find_checkpoint, load_weights
from skd_mm.tasks import default_metric, task_of
from skd_mm.utils import atomic_folder, write_json

from . import formats, testing
from .export import export_student, student_config
from .images import NetworkImages, calibration_images, verification_images
from .integer_graph import quantize_between_layers
from .latency import ROUNDS, WARMUP, Latency, measure_latency
from .network import ExportedNetwork, use_file
from .onnx import DYNAMIC, export_onnx
from .packages import ONNX
from .post_training import METHODS, quantize_static
from .quantisation import export_tolerance, integer_copy, quantized_layers
from .table import format_table
from .tracing import ExportError
from .verification import TOLERANCE, relative_difference

PYTORCH = 'pytorch'
"""The name of the model itself in results."""


@dataclass(frozen=True)
class DeployOptions:
    """Options of a deployment.

    Attributes:
        formats: Names of formats, see :data:`~skd_mm.deploy.formats.SUFFIXES`.
        dynamic: What may vary at most in an ONNX file, see :data:`~skd_mm.deploy.onnx.DYNAMIC`.
        normalize: Whether the files normalise images themselves.
        labels: Whether they return predicted classes instead of logits.
        calibration_fraction: The fraction of the training images that int8 ranges are chosen with.
        calibration_seed: The seed of that choice.
        calibration_method: See :data:`~skd_mm.deploy.post_training.METHODS`.
        images: The number of test images that a file is verified with.
        tolerance: The largest relative difference of a float32 file from PyTorch.
        evaluate: Whether metrics are measured.
        threads: The numbers of threads to time with.
        rounds: Timed runs.
        warmup: Runs before them.
        clock: ``'wall'`` or ``'cpu'``.
    """

    formats: Sequence[str] = ('onnx', )
    dynamic: str = DYNAMIC[0]
    normalize: bool = False
    labels: bool = False
    calibration_fraction: float = 0.1
    calibration_seed: int = 0
    calibration_method: str = METHODS[0]
    images: int = 4
    tolerance: float = TOLERANCE
    evaluate: bool = True
    threads: Sequence[int] = (1, 2)
    rounds: int = ROUNDS
    warmup: int = WARMUP
    clock: str = 'wall'


def deploy(cfg: Config, checkpoint: str, out: str | Path, name: str, options: DeployOptions,
           log: Callable[[str], None] = print) -> dict[str, Any]:
    """Export a student, and verify, test and time each file.

    The folder has the files ``<name>.onnx`` and so on, the student as ``<name>.py`` and ``<name>.pth``, and the results
    as ``deploy.json`` and ``deploy.md``. It appears complete or not at all.

    Args:
        cfg: A config whose model is a distiller, or any mmsegmentation or mmpretrain config. It is not changed.
        checkpoint: One of its checkpoints, or a pattern, see :func:`find_checkpoint`.
        out: The folder, which must not exist or be empty.
        name: The name of the files.
        options: Formats and settings.
        log: Called with each line of progress. Defaults to ``print``.

    Returns:
        The results, as in ``deploy.json``.

    Raises:
        ExportError: The student cannot be exported, or a file differs from PyTorch.
        FileExistsError: The folder is not empty.
        FileNotFoundError: There is no such checkpoint, or a file of the data is missing.
        ImportError: A package of a format is not installed.
        ValueError: An option or the config is invalid, or a metric cannot be computed from the files.
    """
    formats.check_formats(list(options.formats))
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f'{out} is not an empty folder; name another one, or remove it')
    path = find_checkpoint(checkpoint, 'student')
    with tempfile.TemporaryDirectory() as work_dir:
        deployment = _Deployment(cfg, path, work_dir, options, log)
        with atomic_folder(out) as folder:
            results = deployment.run(folder, name)
            export_student(cfg, path, folder, name)
            results.update(checkpoint=path, machine=_machine())
            write_json(folder / 'deploy.json', results)
            (folder / 'deploy.md').write_text(format_table(results, markdown=True) + '\n')
    return results


class _Deployment:
    """The student of a config with its test, and the files that are made of it."""

    def __init__(self, cfg: Config, checkpoint: str, work_dir: str, options: DeployOptions,
                 log: Callable[[str], None]) -> None:
        self.options, self.log = options, log
        student = student_config(cfg)
        testing.check_test(student)
        student.work_dir, student.log_level = work_dir, 'WARNING'
        # MMEngine would reuse the visualizer of another deployment that was begun in the same second.
        student.experiment_name = Path(work_dir).name
        self.runner: Any = RUNNERS.build(student) if 'runner_type' in student else Runner.from_cfg(student)
        load_weights(self.runner.model, checkpoint, 'student')
        model = integer_copy(copy.deepcopy(self.runner.model).cpu().eval())
        self.tolerance = export_tolerance(model, options.tolerance)
        quantised = bool(quantized_layers(model))
        if quantised and 'onnx-int8' in options.formats:
            raise ValueError("the format 'onnx-int8' quantises a network in float, and the student is quantised "
                             "already: the format 'onnx' writes its integers")
        self.network = ExportedNetwork(model, options.normalize, options.labels)
        if options.labels:
            testing.check_metrics(model, student.test_evaluator, 'a file with `--labels`')
        self.examples = list(verification_images(student, self.network, options.images))
        self.new_ranges = False
        self.calibration: NetworkImages | None = None
        if 'onnx-int8' in options.formats or (quantised and cfg.get('train_dataloader')):
            data = copy.deepcopy(student)
            data.train_dataloader = cfg.get('train_dataloader')
            self.calibration = calibration_images(data, self.network, options.calibration_fraction,
                                                  options.calibration_seed)

    def run(self, folder: Path, name: str) -> dict[str, Any]:
        """Write the files into a folder, and return the results."""
        entries = [self._pytorch()]
        notes: list[str] = []
        written: dict[str, Path] = {}
        # int8 and OpenVINO files are made from the ONNX file.
        needed = [kind for kind in formats.SUFFIXES if kind in self.options.formats]
        if 'onnx' not in needed and any(kind != 'torchscript' for kind in needed):
            needed = ['onnx', *needed]
        for kind in needed:
            self.log(f'{kind}: exporting')
            file = folder / f'{name}{formats.SUFFIXES[kind]}'
            notes += self._write(kind, file, written)
            written[kind] = file
        for kind, file in written.items():
            if kind in self.options.formats:
                entries.append(self._measure(kind, file))
            else:
                file.unlink()
        self._time(entries, {kind: file for kind, file in written.items() if kind in self.options.formats})
        return self._results(entries, notes)

    def _write(self, kind: str, file: Path, written: dict[str, Path]) -> Sequence[str]:
        """Write a file, and return notes about it."""
        example = self.examples[0]
        if kind == 'onnx':
            outputs = ['labels'] if self.options.labels else []
            notes = export_onnx(self.network, example, file, dynamic=self.options.dynamic, output_names=outputs,
                                tolerance=self.tolerance, metadata=self.network.metadata).notes
            return [*notes, *self._quantize_between_layers(file)]
        if kind == 'onnx-int8':
            assert self.calibration is not None
            quantize_static(written['onnx'], file, self.calibration, self.options.calibration_method)
        elif kind == 'torchscript':
            formats.export_torchscript(self.network, example, file, self.network.metadata)
        else:
            formats.export_openvino(written['onnx'], file)
        return ()

    def _quantize_between_layers(self, file: Path) -> Sequence[str]:
        """Add the ranges that a file of a quantised student lacks, and return notes."""
        if not quantized_layers(self.network.model):
            return ()
        if self.calibration is None:
            return ['additions stay in float: the config has no training images to choose their ranges with']
        note = quantize_between_layers(file, self.calibration, self.options.calibration_method)
        self.new_ranges = note is None
        return [note] if note else []

    def _pytorch(self) -> dict[str, Any]:
        entry: dict[str, Any] = dict(format=PYTORCH, file=None, bytes=None, difference=0.0)
        if self.options.evaluate:
            self.log(f'{PYTORCH}: testing')
            entry['metrics'] = _numbers(self.runner.test())
        return entry

    def _measure(self, kind: str, file: Path) -> dict[str, Any]:
        """Verify and test a file."""
        difference = self._difference(kind, file)
        entry: dict[str, Any] = dict(format=kind, file=file.name, bytes=_size(file), difference=difference)
        if self.options.evaluate:
            self.log(f'{kind}: testing')
            use_file(self.runner.model, file)
            entry['metrics'] = _numbers(self.runner.test_loop.run())
        return entry

    def _difference(self, kind: str, file: Path) -> float:
        """Return the difference of a file from PyTorch on the test images: relative, or the share of other classes."""
        loaded = formats.load_file(file)
        worst = 0.0
        for image in self.examples:
            with torch.no_grad():
                expected = self.network(image)
            outputs = loaded(image)
            if self.options.labels:
                worst = max(worst, float((outputs != expected).double().mean()))
            else:
                worst = max(worst, relative_difference(outputs, expected))
        # Ranges that only the file has make a difference, which the metrics show.
        limit = float('inf') if kind == 'onnx-int8' or self.new_ranges else self.tolerance
        if not worst <= limit or worst == float('inf'):
            raise ExportError(f'{kind}: the largest relative difference from PyTorch on images of the test is '
                              f'{worst:.2g}, more than {limit:.2g}')
        return worst

    def _time(self, entries: list[dict[str, Any]], files: dict[str, Path]) -> None:
        self.log('timing')
        options = self.options
        networks: dict[str, Any] = {PYTORCH: self.network.eval(), **files}
        found: dict[str, list[Latency]] = measure_latency(networks, self.examples[0], options.threads, options.rounds,
                                                          options.warmup, options.clock)
        for entry in entries:
            entry['latency'] = [latency.to_dict() for latency in found[entry['format']]]

    def _results(self, entries: list[dict[str, Any]], notes: list[str]) -> dict[str, Any]:
        model = self.network.model
        entries[0]['bytes'] = sum(_bytes(value) for value in model.state_dict().values())
        metric = default_metric(entries[0]['metrics']) if self.options.evaluate else None
        found: dict[str, Any] = dict(
            task=task_of(model).name, model=type(model).__name__, input=list(self.examples[0].shape), metric=metric,
            options={key: list(value) if isinstance(value, tuple) else value
                     for key, value in asdict(self.options).items()},
            verified_images=len(self.examples), notes=notes, files=entries)
        if self.calibration is not None:
            found['calibration_images'] = len(self.calibration)
        return found


def _numbers(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics as plain Python numbers."""
    return {key: round(float(value), 4) if isinstance(value, np.generic) else value for key, value in metrics.items()}


def _bytes(value: Tensor) -> int:
    return value.numel() * value.element_size()


def _size(file: Path) -> int:
    """Return the size of a file, and of OpenVINO's weights next to it."""
    weights = file.with_suffix('.bin')
    return file.stat().st_size + (weights.stat().st_size if file.suffix == '.xml' else 0)


def _machine() -> dict[str, Any]:
    """Return the processor and the versions that a latency depends on."""
    versions = {}
    for name in ('torch', *ONNX, 'openvino'):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return dict(processor=_processor(), **versions)


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(':')[2].strip() for line in lines if line.startswith('model name')),
                platform.processor())
