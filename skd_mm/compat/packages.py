"""Which OpenMMLab packages are installed, and under which names MMEngine knows them."""

from functools import wraps
from importlib import metadata
from pathlib import Path

LINES: dict[str, tuple[tuple[str, ...], ...]] = {
    'maintained': (('onedl-mmengine',), ('onedl-mmcv',), ('onedl-mmsegmentation',), ('onedl-mmpretrain',)),
    'original': (('mmengine', 'mmengine-lite'), ('mmcv', 'mmcv-lite'), ('mmsegmentation',), ('mmpretrain',)),
}
"""Distributions of each line of packages: one entry per package, with all names it may be installed under."""

INSTALL = {
    'maintained': 'pip install -r requirements/mminstall.txt',
    'original': 'pip install -r requirements/mminstall_original.txt',
}

INSTALL_DETECTION = {
    'maintained': 'pip install --no-deps -r requirements/detection.txt',
    'original': 'pip install --no-deps -r requirements/detection_original.txt',
}


def is_installed(distribution: str) -> bool:
    """Return whether a distribution is installed."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def installed_line() -> str:
    """Return which line of OpenMMLab packages is installed.

    Returns:
        ``'maintained'`` or ``'original'``.

    Raises:
        ImportError: Neither or both lines are installed (they overwrite each other's files), or one is incomplete.
    """
    found: dict[str, list[str]] = {}
    for line, packages in LINES.items():
        found[line] = [name for names in packages for name in names if is_installed(name)]
    commands = f'  {INSTALL["maintained"]}   (maintained packages, the default)\n' \
               f'  {INSTALL["original"]}   (original OpenMMLab releases)'
    if all(found.values()):
        names = [*found['maintained'], *found['original']]
        raise ImportError(
            "skd_mm: both lines of OpenMMLab packages are installed, and they overwrite each other's files. "
            f'Remove them with\n  pip uninstall -y {" ".join(names)}\nand install one of the two lines:\n{commands}')
    if not any(found.values()):
        raise ImportError('skd_mm: mmengine, mmcv, mmsegmentation and mmpretrain are not installed. '
                          f'Install one of the two lines:\n{commands}')
    line = 'maintained' if found['maintained'] else 'original'
    missing = [names[0] for names in LINES[line] if not set(names) & set(found[line])]
    if missing:
        raise ImportError(f'skd_mm: {", ".join(missing)} is missing, but {", ".join(found[line])} is installed. '
                          f'Complete the line with\n  {INSTALL[line]}')
    return line


def patch_package_names() -> None:
    """Make MMEngine resolve ``mmseg::`` with the maintained packages, and ``skd_mm::``.

    The maintained line has no distribution named ``mmsegmentation``: ``_base_ = 'mmseg::…'`` would report that it is
    not installed, and ``mmengine.hub.get_config`` would let pip install it over the maintained one.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    if not is_installed(MODULE2PACKAGE['mmseg']):
        MODULE2PACKAGE['mmseg'] = 'mmseg'
    MODULE2PACKAGE.setdefault('skd_mm', 'skd_mm')


def patch_zoo_paths() -> None:
    """Make MMEngine find a model zoo's config by its path.

    MMEngine looks for the config in all metafiles of the zoo first. Reading them takes half a second for each
    ``_base_`` in a zoo.
    """
    from mmengine.config import config

    search = config._get_external_cfg_path
    if hasattr(search, '__wrapped__'):
        return

    @wraps(search)
    def find(package_path: str, cfg_file: str) -> str:
        path = Path(package_path, '.mim', 'configs', cfg_file)
        return str(path) if path.is_file() else search(package_path, cfg_file)

    config._get_external_cfg_path = find
