"""Tests a network: the student of a distiller, an exported one, or any plain mmsegmentation or mmpretrain model."""

import argparse
import os
import os.path as osp
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmengine.runner import Runner


def parse_args() -> argparse.Namespace:
    """Parse the options, which include those of mmsegmentation's ``tools/test.py``."""
    parser = argparse.ArgumentParser(description='Test a model; of a distiller, the student alone')
    parser.add_argument('config', help='path of the config: of a distillation, of an exported student, or any other')
    parser.add_argument('checkpoint', help='path of the checkpoint (iter_N.pth, best_*.pth, an exported one), or of '
                        'an ONNX file of tools/deploy.py; or a pattern (the last '
                        'phase is taken, else the newest file)')
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
    from skd_mm.utils import exit_on_error, leave_group

    with exit_on_error('test'):
        runner = prepare(args)
    runner.test()
    del runner
    leave_group()


def prepare(args: argparse.Namespace) -> 'Runner':
    """Return the Runner of the test, with the weights of the checkpoint."""
    from mmengine.model import is_model_wrapper
    from mmengine.registry import RUNNERS
    from mmengine.runner import Runner

    from skd_mm.config import load_config
    from skd_mm.deploy import testing
    from skd_mm.deploy.export import student_config
    from skd_mm.distillers.networks import find_checkpoint
    from skd_mm.engine.rendered_config import RenderedConfig
    from skd_mm.evaluation.per_class import with_classes

    cfg = load_config(args.config, args.cfg_options)
    if args.split == 'val':
        testing.set_validation(cfg)
    cfg = student_config(cfg)
    testing.check_test(cfg)
    if args.per_class:
        cfg.test_evaluator = with_classes(cfg.test_evaluator)
    checkpoint = find_checkpoint(args.checkpoint, 'student')
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or osp.join('work_dirs', Path(args.config).stem)
    if args.show or args.show_dir:
        testing.set_visualization(cfg, args.show, args.show_dir, args.wait_time)
    if args.out:
        testing.set_output(cfg, args.out)
    if args.tta:
        testing.set_augmentation(cfg)
    cfg = RenderedConfig.of(cfg)
    runner: Any = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    model = runner.model
    if is_model_wrapper(model):
        model = model.module
    if args.tta:
        model = model.module
    testing.load_network(model, checkpoint, cfg.test_evaluator)
    return runner


if __name__ == '__main__':
    main()
