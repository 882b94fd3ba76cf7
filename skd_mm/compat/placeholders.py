"""Placeholders for modules that other packages import and almost never use."""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any


class PlaceholderFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finder of placeholders for a package that is not installed.

    It comes last among the finders, so that an installed package is always preferred.

    Args:
        name: The name of the module or package; all modules in the package are placeholders, too.
        attribute: Returns what a module has under a name.
    """

    def __init__(self, name: str, attribute: Callable[[str], Any]) -> None:
        self.name = name
        self.attribute = attribute

    def install(self) -> None:
        """Add the finder to ``sys.meta_path``, unless there is one for this name."""
        if not any(isinstance(finder, PlaceholderFinder) and finder.name == self.name for finder in sys.meta_path):
            sys.meta_path.append(self)

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """Return a placeholder's spec, or None for any other module."""
        if fullname == self.name or fullname.startswith(f'{self.name}.'):
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """Let Python create the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Give the module every attribute that is asked for."""

        def get(name: str) -> Any:
            if name.startswith('__'):
                raise AttributeError(name)
            return self.attribute(name)

        module.__getattr__ = get  # type: ignore[method-assign]


def patch_imgaug() -> None:
    """Make mmdetection's data sets importable without ``imgaug``.

    Only a transform for lanes, ``GenerateLines``, uses it. It raises an ImportError.
    """

    def attribute(name: str) -> Callable[..., Any]:
        def missing(*args: Any, **kwargs: Any) -> Any:
            raise ImportError(f"imgaug's {name} is needed, and imgaug is not installed: pip install imaug")

        return missing

    PlaceholderFinder('imgaug', attribute).install()
