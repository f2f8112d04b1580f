"""Which build of the program runs: the hot modules compiled, or all of it as Python source (see ``setup.py``)."""

import platform
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

from leadscore import __version__

COMPILED, PURE = "compiled", "pure"


def build_kind() -> str:
    """``compiled`` where the fold is an extension module, else ``pure``."""
    fold = find_spec("leadscore.scoring.fold")
    is_extension = fold is not None and (fold.origin or "").endswith(tuple(EXTENSION_SUFFIXES))
    return COMPILED if is_extension else PURE


def full_version() -> str:
    """For example ``0.1.0 (compiled, Python 3.11)``."""
    major, minor, _ = platform.python_version_tuple()
    return f"{__version__} ({build_kind()}, Python {major}.{minor})"
