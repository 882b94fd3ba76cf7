"""Print the complete config of a file, with its bases merged and its variables filled in."""

import argparse

from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, init_default_scope


def parse_args() -> argparse.Namespace:
    """Parse the options, which are those of mmsegmentation's ``print_config.py`` and the name of an output file."""
    parser = argparse.ArgumentParser(description='Print the whole config')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--expand', action='store_true',
                        help="replace the paths of a distiller's network configs by the networks")
    parser.add_argument('--graph', action='store_true', help='print the modules of the model too; of a '
                        'distiller, those of the student')
    parser.add_argument('--save-path', help='write the config there as well; the suffix is .py, .json or .yaml')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='settings that replace those of the config')
    args = parser.parse_args()
    if args.save_path and not args.save_path.endswith(('.py', '.json', '.yml', '.yaml')):
        parser.error(f'--save-path {args.save_path}: the suffix must be .py, .json, .yml or .yaml')
    return args


def main() -> None:
    """Print the config."""
    args = parse_args()
    # Imported after the options are parsed, so that --help is quick.
    from skd_mm.config import load_config
    from skd_mm.deploy.export import student_config
    from skd_mm.utils import exit_on_error

    with exit_on_error('print_config'):
        cfg = load_config(args.config, args.cfg_options)
        if args.expand:
            expand(cfg)
    print(f'Config:\n{cfg.pretty_text}')
    if args.save_path:
        cfg.dump(args.save_path)
    if args.graph:
        init_default_scope(cfg.get('default_scope', 'mmengine'))
        print(f'Model graph:\n{MODELS.build(student_config(cfg).model)}')


def expand(cfg: Config) -> None:
    """Replace ``cfg`` in ``model.student`` and ``model.teacher`` by the networks."""
    from skd_mm.distillers.networks import network_config

    for role in ('student', 'teacher'):
        named = cfg.get('model', {}).get(role)
        if named and 'type' not in named:
            model, scope = network_config(named, role)
            others = ('checkpoint', 'mode', 'backbone_stages')
            network = ConfigDict(model, **{key: named[key] for key in others if named.get(key) is not None})
            if scope is not None:
                network['_scope_'] = scope
            cfg.model[role] = network


if __name__ == '__main__':
    main()
