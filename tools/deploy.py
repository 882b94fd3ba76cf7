"""Exports a student to ONNX and other formats, and verifies, tests and times each file."""

import argparse
from pathlib import Path


def parse_args() -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(description='Export a student to files for devices, with accuracy and latency')
    parser.add_argument('config', help='path of the config: of a distillation, of an exported student, or any other')
    parser.add_argument('checkpoint', help='path of one of its checkpoints, or a pattern (the last phase is '
                        'taken, else the newest file)')
    parser.add_argument('out', help='folder for the files and results; it must not exist or be empty')
    parser.add_argument('--formats', nargs='+', default=['onnx'], metavar='FORMAT',
                        help='onnx, onnx-int8, torchscript, openvino; onnx if not given')
    parser.add_argument('--name', help='name of the files; that of the config if not given')
    parser.add_argument('--dynamic', default='size', metavar='AXES',
                        help='what may vary in an ONNX file if the network allows it: size (images and batch), batch '
                        'or fixed; size if not given')
    parser.add_argument('--normalize', action='store_true', help='files take images as they are read, pixels 0 to 255')
    parser.add_argument('--labels', action='store_true', help='files return predicted classes instead of logits')
    parser.add_argument('--calibration-fraction', type=float, default=0.1, metavar='SHARE',
                        help='share of the training images that the ranges of int8 are chosen with; 0.1 if not given')
    parser.add_argument('--calibration-seed', type=int, default=0, metavar='N', help='seed of that choice')
    parser.add_argument('--calibration-method', default='minmax', metavar='METHOD',
                        help='minmax, percentile or entropy; minmax if not given')
    parser.add_argument('--images', type=int, default=4, metavar='N',
                        help='number of test images that each file is verified with; 4 if not given')
    parser.add_argument('--no-test', action='store_true', help='do not measure the metrics of the test')
    parser.add_argument('--threads', nargs='+', type=int, default=[1, 2], metavar='N',
                        help='numbers of threads to time with; 1 2 if not given')
    parser.add_argument('--rounds', type=int, default=30, metavar='N', help='timed runs; 30 if not given')
    parser.add_argument('--clock', choices=['wall', 'cpu'], default='wall', help='clock of the latency')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='settings that replace those of the config, like test_dataloader.dataset.indices=20')
    args = parser.parse_args()
    if args.images < 1:
        parser.error(f'--images must be 1 or more, not {args.images}')
    return args


def main() -> None:
    """Deploy."""
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    from skd_mm.config import load_config
    from skd_mm.deploy.deployment import DeployOptions, deploy
    from skd_mm.deploy.table import format_table
    from skd_mm.utils import exit_on_error

    with exit_on_error('deploy'):
        cfg = load_config(args.config, args.cfg_options)
        options = DeployOptions(
            formats=args.formats, dynamic=args.dynamic, normalize=args.normalize, labels=args.labels,
            calibration_fraction=args.calibration_fraction, calibration_seed=args.calibration_seed,
            calibration_method=args.calibration_method, images=args.images, evaluate=not args.no_test,
            threads=args.threads, rounds=args.rounds, clock=args.clock)
        results = deploy(cfg, args.checkpoint, args.out, args.name or Path(args.config).stem, options)
    print(f'\n{format_table(results)}\n\n{args.out}')


if __name__ == '__main__':
    main()
