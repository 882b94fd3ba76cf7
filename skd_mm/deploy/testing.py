"""Settings of a test: which network and data, what is written and shown, and test time augmentation."""

import copy
import inspect
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import HOOKS, METRICS, Registry
from torch import nn

from skd_mm.distillers.networks import load_weights
from skd_mm.tasks import task_of
from skd_mm.utils import described

from .formats import is_exported
from .network import use_file

_PARTS = ('dataloader', 'evaluator', 'cfg')


def set_validation(cfg: Config) -> None:
    """Test on the data and with the metrics of the validation.

    Args:
        cfg: A config; it is changed.
    """
    cfg.test_dataloader, cfg.test_evaluator = cfg.get('val_dataloader'), cfg.get('val_evaluator')
    cfg.test_cfg = dict(type='TestLoop')


def check_test(cfg: Config) -> None:
    """Check that a config has what a test needs.

    Args:
        cfg: The config.

    Raises:
        ValueError: It lacks something.
    """
    for part in _PARTS:
        if cfg.get(f'test_{part}') in (None, []):  # mmpretrain's test_cfg is an empty dict
            raise ValueError(f'{cfg.filename or "the config"} has no `test_{part}`: there is nothing to test with')


def set_visualization(cfg: Config, show: bool, show_dir: str | None, wait_time: float) -> None:
    """Turn on the hook that draws predictions, for every image.

    Args:
        cfg: A config; it is changed.
        show: Show the pictures in a window.
        show_dir: Folder for the pictures; None writes none.
        wait_time: Seconds for which each is shown.

    Raises:
        ValueError: The config has no such hook.
    """
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ValueError('--show and --show-dir need `default_hooks.visualization` in the config, such as '
                         "dict(type='SegVisualizationHook')")
    known = _arguments(HOOKS, hook, cfg.get('default_scope'))
    switch = 'draw' if 'draw' in known else 'enable'  # mmsegmentation's name and mmpretrain's
    hook.update({switch: True}, interval=1, show=show, wait_time=wait_time)
    if show_dir and 'out_dir' in known:
        hook.out_dir = show_dir
    elif show_dir:
        cfg.visualizer.save_dir = show_dir


def set_output(cfg: Config, out: str) -> None:
    """Let the evaluator write the predictions.

    Args:
        cfg: A config; it is changed.
        out: A folder for label images, or a file that ends in ``.pkl`` for the raw results.

    Raises:
        ValueError: No metric of the config writes label images.
    """
    metrics = cfg.test_evaluator
    if not isinstance(metrics, list | tuple):
        metrics = [metrics]
    if Path(out).suffix in ('.pkl', '.pickle'):
        cfg.test_evaluator = [*metrics, ConfigDict(type='DumpResults', out_file_path=out)]
        return
    can_write = False
    for metric in metrics:
        known = _arguments(METRICS, metric, cfg.get('default_scope'))
        if 'output_dir' in known:
            metric.output_dir = out
            can_write = True
            if 'keep_results' in known:
                metric.keep_results = True
    if not can_write:
        raise ValueError(f'--out {out}: none of the metrics {[str(metric["type"]) for metric in metrics]} writes '
                         'predictions to a folder; give a name that ends in .pkl')


def set_augmentation(cfg: Config) -> None:
    """Wrap the model into the config's test time augmentation; classification averages over a flip by default.

    Args:
        cfg: A config; it is changed.

    Raises:
        ValueError: It has no test time augmentation.
    """
    pipeline = cfg.test_dataloader.dataset.get('pipeline')
    if cfg.get('default_scope') == 'mmpretrain' and pipeline:
        cfg.setdefault('tta_model', ConfigDict(type='mmpretrain.AverageClsScoreTTA'))
        flips: list[Any] = [dict(type='RandomFlip', prob=prob) for prob in (1., 0.)]
        augmented = dict(type='TestTimeAug', transforms=[flips, [pipeline[-1]]])
        cfg.setdefault('tta_pipeline', [*copy.deepcopy(pipeline[:-1]), augmented])
    for key in ('tta_model', 'tta_pipeline'):
        if cfg.get(key) is None:
            raise ValueError(f'--tta needs `{key}` in the config')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)


def load_network(model: nn.Module, file: str, metrics: Any) -> None:
    """Load the weights of a checkpoint, or let the model run an ONNX file.

    Args:
        model: The model of a test; it is changed.
        file: A checkpoint of the student, or a file of ``tools/deploy.py``.
        metrics: The config of the evaluator: one metric or several.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It does not fit the model, or the ONNX file gives classes and a metric needs their scores.
    """
    if not is_exported(file):
        load_weights(model, file, 'student')
        return
    loaded = use_file(model, file)
    if loaded.metadata.get('labels'):
        check_metrics(model, metrics, file)


def check_metrics(model: nn.Module, metrics: Any, file: str | Path) -> None:
    """Check that metrics can be computed from predicted classes.

    Args:
        model: The model of a test.
        metrics: The config of the evaluator: one metric or several.
        file: The exported file that gives classes, for the message.

    Raises:
        ValueError: A metric needs scores.
    """
    for metric in metrics if isinstance(metrics, list | tuple) else [metrics]:
        if task_of(model).needs_scores(metric):
            raise ValueError(f'{file} gives predicted classes, and the metric {described(metric)} needs the scores of '
                             'all classes; export without `--labels`, or choose another metric')


def _arguments(registry: Registry, cfg: dict, scope: str | None) -> set[str]:
    """Return the names of the arguments that a registered class takes by name."""
    kind = cfg['type']
    if isinstance(kind, str):
        with registry.switch_scope_and_registry(scope) as scoped:
            kind = scoped.get(kind)
    return set(inspect.signature(kind).parameters) if kind is not None else set()
