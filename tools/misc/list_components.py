"""Lists the losses, connectors, recipes, metrics and other components that a config can name."""

import argparse


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('groups', nargs='*', metavar='GROUP', help='losses, connectors, recipes, metrics, memories, '
                        'models, datasets, transforms, hooks, schedulers or transforms_of_networks; all if not given')
    parser.add_argument('--markdown', metavar='FILE', help='write all lists to a Markdown file instead')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    from pathlib import Path

    from skd_mm.analysis.components import GROUPS, components, components_page, components_text
    from skd_mm.utils import did_you_mean

    if args.markdown:
        Path(args.markdown).write_text(components_page())
        return
    for group in args.groups:
        if group not in GROUPS:
            raise SystemExit(f'list_components: there is no group {group!r}{did_you_mean(group, GROUPS)} '
                             f'(there are {list(GROUPS)})')
    print('\n\n'.join(components_text(group) for group in args.groups or GROUPS if components(group)))


if __name__ == '__main__':
    main()
