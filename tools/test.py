"""Tests a network: the student of a distiller, an exported one, or any plain mmsegmentation or mmpretrain model."""

import argparse
import copy
import inspect
import os
import os.path as osp
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import HOOKS, METRICS, RUNNERS, Registry


def parse_args() -> argparse.Namespace:
    """Parse the options, which include those of mmsegmentation's ``tools/test.py``."""
    parser = argparse.ArgumentParser(description='Test a model; of a distiller, the student alone')
    parser.add_argument('config', help='path of the config: of a distillation, of an exported student, or any other')
    parser.add_argument('checkpoint', help='path of the checkpoint (iter_N.pth, best_*.pth, an exported one), or a '
                        'pattern, of which the newest match is taken')
    parser.add_argument('--work-dir', help='where logs and the JSON file with the metrics go; work_dirs/<name of the '
                        'config> if not given')
    parser.add_argument('--out', help='folder for the predictions, as label images; a name that ends in .pkl takes '
                        'them as one file, whatever the task')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--show-dir', help='folder for images with the predictions painted over them')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds that --show shows an image')
    parser.add_argument('--split', choices=['test', 'val'], default='test',
                        help="which of the config's data and metrics are used; test if not given")
    parser.add_argument('--per-class', action='store_true', help='also write the IoU, or the accuracy, of each class')
    parser.add_argument('--tta', action='store_true', help='test time augmentation')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='settings that replace those of the config, like test_dataloader.batch_size=4')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    # torchrun and torch.distributed.launch spell it differently.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    """Test."""
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    from mmengine.model import is_model_wrapper
    from mmengine.runner import Runner

    from skd_mm.config import load_config
    from skd_mm.deploy.export import student_config
    from skd_mm.distillers.networks import find_checkpoint, load_weights
    from skd_mm.evaluation.per_class import with_classes
    from skd_mm.utils import leave_group

    cfg = load_config(args.config, args.cfg_options)
    if args.split == 'val':
        set_validation(cfg)
    cfg = student_config(cfg)
    for key in ('test_dataloader', 'test_evaluator', 'test_cfg'):
        if cfg.get(key) in (None, []):  # mmpretrain's test_cfg is an empty dict
            raise SystemExit(f'{args.config} has no `{key}`: there is nothing to test with')
    if args.per_class:
        cfg.test_evaluator = with_classes(cfg.test_evaluator)
    checkpoint = find_checkpoint(args.checkpoint, 'student')
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or osp.join('work_dirs', Path(args.config).stem)
    if args.show or args.show_dir:
        set_visualization(cfg, args.show, args.show_dir, args.wait_time)
    if args.out:
        set_output(cfg, args.out)
    if args.tta:
        set_tta(cfg)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    load_weights(model.module if args.tta else model, checkpoint, 'student')
    runner.test()
    del runner, model
    leave_group()


def set_validation(cfg: Config) -> None:
    """Test on the data and with the metrics of the validation."""
    cfg.test_dataloader, cfg.test_evaluator = cfg.get('val_dataloader'), cfg.get('val_evaluator')
    cfg.test_cfg = dict(type='TestLoop')


def arguments(registry: Registry, cfg: dict, scope: str | None) -> set[str]:
    """Return the names of the keyword arguments of a registered class."""
    with registry.switch_scope_and_registry(scope) as found:
        kind = found.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']
    return set(inspect.signature(kind).parameters) if kind is not None else set()


def set_visualization(cfg: Config, show: bool, show_dir: str | None, wait_time: float) -> None:
    """Turn the hook that paints predictions on, for every image."""
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise SystemExit('--show and --show-dir need `default_hooks.visualization` in the config, such as '
                         "dict(type='SegVisualizationHook')")
    known = arguments(HOOKS, hook, cfg.get('default_scope'))
    # mmsegmentation's hook is turned on by `draw`, mmpretrain's by `enable`.
    hook.update({'draw' if 'draw' in known else 'enable': True}, interval=1, show=show, wait_time=wait_time)
    if show_dir and 'out_dir' in known:
        hook.out_dir = show_dir
    elif show_dir:
        cfg.visualizer.save_dir = show_dir


def set_output(cfg: Config, out: str) -> None:
    """Let the evaluator write the predictions."""
    metrics = cfg.test_evaluator if isinstance(cfg.test_evaluator, (list, tuple)) else [cfg.test_evaluator]
    if Path(out).suffix in ('.pkl', '.pickle'):
        cfg.test_evaluator = [*metrics, ConfigDict(type='DumpResults', out_file_path=out)]
        return
    writers = [(metric, known) for metric in metrics
               if 'output_dir' in (known := arguments(METRICS, metric, cfg.get('default_scope')))]
    if not writers:
        raise SystemExit(f'--out {out}: none of the metrics {[str(metric["type"]) for metric in metrics]} writes '
                         'predictions to a folder; give a name that ends in .pkl')
    for metric, known in writers:
        metric.output_dir = out
        if 'keep_results' in known:
            metric.keep_results = True


def set_tta(cfg: Config) -> None:
    """Put the config's test time augmentation around the model; classification has a flip by default."""
    pipeline = cfg.test_dataloader.dataset.get('pipeline')
    if cfg.get('default_scope') == 'mmpretrain' and pipeline:
        cfg.setdefault('tta_model', ConfigDict(type='mmpretrain.AverageClsScoreTTA'))
        flips: list[Any] = [dict(type='RandomFlip', prob=prob) for prob in (1., 0.)]
        cfg.setdefault('tta_pipeline', [*copy.deepcopy(pipeline[:-1]),
                                        dict(type='TestTimeAug', transforms=[flips, [pipeline[-1]]])])
    for key in ('tta_model', 'tta_pipeline'):
        if cfg.get(key) is None:
            raise SystemExit(f'--tta needs `{key}` in the config')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)


if __name__ == '__main__':
    main()
