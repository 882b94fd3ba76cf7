"""Prints the tables of a study from its JSON file, or generates those in the pages of the documentation."""

import argparse
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('files', nargs='+', metavar='FILE', help='study.json files, whose tables are printed, or '
                        'Markdown pages, whose tables are generated')
    parser.add_argument('--check', action='store_true', help='change no page; fail if one differs from its JSON files')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    from skd_mm.analysis.studies import StudyError
    from skd_mm.analysis.studies.pages import update
    from skd_mm.analysis.studies.tables import render

    differing = []
    for file in map(Path, args.files):
        try:
            if file.suffix == '.json':
                print(render(json.loads(file.read_text())))
                continue
            before = file.read_text()
            after = update(before, ROOT)
        except (OSError, StudyError) as error:
            raise SystemExit(f'{file}: {error}') from None
        if after == before:
            continue
        differing.append(str(file))
        if not args.check:
            file.write_text(after)
            print(f'{file}: generated')
    if args.check and differing:
        raise SystemExit(f'{", ".join(differing)}: the tables differ from the JSON files; run '
                         'tools/analysis_tools/study_tables.py on it')


if __name__ == '__main__':
    main()
