"""Measures on a GPU what the toolkit claims, in parts that can be resumed."""

import argparse
from pathlib import Path


def parse_args() -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(
        description='Run the GPU tests, benchmarks and studies, and write campaign.json and campaign.md. Run it again '
        'to continue. Data is read from the folder in SKD_MM_DATA.')
    parser.add_argument('--out', default='work_dirs/gpu_campaign', help='folder of the results')
    parser.add_argument('--minutes', type=float, default=40, help='time for this call')
    parser.add_argument('--part-minutes', type=float, default=10, help='time for each part')
    parser.add_argument('--parts', nargs='+', default=[], metavar='NAME', help='only these parts')
    parser.add_argument('--toy', action='store_true', help='small versions of all parts, for a CPU')
    return parser.parse_args()


def main() -> None:
    """Run the campaign and name what is open."""
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    from skd_mm.analysis.campaign import campaign_parts, run_campaign
    from skd_mm.utils import did_you_mean, exit_on_error
    with exit_on_error('gpu_campaign'):
        out = Path(args.out)
        parts = campaign_parts(out, args.toy)
        names = [part.name for part in parts]
        for name in args.parts:
            if name not in names:
                raise ValueError(f'--parts: there is no part {name!r}{did_you_mean(name, names)} (there are {names})')
        parts = [part for part in parts if not args.parts or part.name in args.parts]
        record = run_campaign(parts, out, args.minutes, args.part_minutes)
    missing = [part.name for part in parts if record['parts'].get(part.name, {}).get('status') != 'done']
    print(f'{out / "campaign.md"} has the results' + (f'; not done: {", ".join(missing)}' if missing else ''))
    if any(record['parts'].get(name, {}).get('status') == 'failed' for name in missing):
        raise SystemExit(1)


if __name__ == '__main__':
    main()
