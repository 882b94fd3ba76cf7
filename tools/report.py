"""Writes a self-contained HTML page about runs and studies, from their work directories."""

import argparse


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dirs', nargs='+', help='work directories of runs or of studies, or folders of them; '
                        'NAME=PATH names the method of a run, and runs of one name are its seeds')
    parser.add_argument('--out', default='report', help='folder for index.html, or the HTML file; report if not given')
    parser.add_argument('--split', choices=['test', 'val'], default='test',
                        help='images on which the networks are compared; test if not given')
    parser.add_argument('--images', type=int, default=200,
                        help='images of the split to predict at most, evenly spaced; 0 loads no network; 200 if not '
                        'given')
    parser.add_argument('--gallery', type=int, default=24, help='images in the gallery; 24 if not given')
    parser.add_argument('--metric', help='metric to compare; that of the study, or the usual one of the task, if not '
                        'given')
    parser.add_argument('--no-compute', action='store_true', help='do not count the training compute')
    parser.add_argument('--title', help='title of the page')
    args = parser.parse_args()
    for name in ('images', 'gallery'):
        if getattr(args, name) < 0:
            parser.error(f'--{name} must be 0 or more, not {getattr(args, name)}')
    return args


def main() -> None:
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    from skd_mm.analysis.report import Settings, write_report
    from skd_mm.utils import exit_on_error

    settings = Settings(args.split, args.images, args.gallery, not args.no_compute, args.metric, args.title)
    with exit_on_error('report'):
        file = write_report(args.work_dirs, args.out, settings)
    print(f'report: {file}')


if __name__ == '__main__':
    main()
