"""Packages that only deployment needs."""

import importlib
from collections.abc import Sequence

ONNX = ('onnx', 'onnxscript', 'onnxruntime')
"""The packages that write, optimize and run ONNX files."""


def require_packages(names: Sequence[str], purpose: str) -> None:
    """Check that packages can be imported.

    Args:
        names: Names of packages.
        purpose: What needs them, for the message.

    Raises:
        ImportError: One of them is not installed, or cannot be imported.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            listed = name in (*ONNX, 'torch_pruning')
            install = 'pip install -r requirements/deploy.txt' if listed else f'pip install {name}'
            raise ImportError(f'{purpose} needs the package {name!r}, which cannot be imported ({error}); install it '
                              f'with `{install}`') from error
