"""Runs a study: several methods over several seeds, at equal training compute, with the tables of their results."""

import argparse
import os


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('study', help='path of the study file, such as configs/studies/camvid_skd.py')
    parser.add_argument('--work-dir', help='where everything goes; work_dirs/studies/<name of the file> if not given')
    parser.add_argument('--jobs', type=int, metavar='N',
                        help='trainings at a time; 1 if not given, with --slurm all of them')
    parser.add_argument('--slurm', metavar='PARTITION', help='submit each training as a Slurm job; GPUS (1), '
                        'CPUS_PER_TASK (5) and SBATCH_ARGS are read from the environment')
    parser.add_argument('--dry-run', action='store_true', help='print the plan and write nothing')
    parser.add_argument('--rerun-changed', action='store_true', help='repeat trainings whose settings have changed '
                        'since; the earlier ones are moved to <folder>.1 and so on')
    args = parser.parse_args()
    if args.jobs is not None and args.jobs < 1:
        parser.error(f'--jobs must be 1 or more, not {args.jobs}')
    return args


def main() -> None:
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    from skd_mm.analysis.studies import StudyError
    from skd_mm.analysis.studies.command import Settings, failures, run_study

    settings = Settings(args.work_dir, args.jobs, args.slurm, args.dry_run, args.rerun_changed,
                        float(os.environ.get('SLURM_POLL_SECONDS', 30)))
    try:
        run = run_study(args.study, settings)
    except StudyError as error:
        raise SystemExit(f'study: {error}') from None
    except KeyboardInterrupt:
        raise SystemExit('\nstopped; the same command resumes the study') from None
    failed = failures(run) if run is not None else []
    if run is not None and failed:
        raise SystemExit('\n'.join(['', f'{len(failed)} of {len(run.tasks)} trainings failed:', *failed]))


if __name__ == '__main__':
    main()
