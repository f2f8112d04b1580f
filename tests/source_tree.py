"""What a build of the package starts from."""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKED = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "src", "schemas", "deploy")
LEFT_OUT = shutil.ignore_patterns("*.egg-info", "__pycache__", "*.so")
"""With compiled modules beside it, a copy would run these and not its source."""


def copy_tree(into: Path) -> Path:
    """A clean copy, so that what an earlier build left cannot help the next one."""
    into.mkdir(parents=True, exist_ok=True)
    for name in PACKED:
        original = ROOT / name
        if original.is_dir():
            shutil.copytree(original, into / name, symlinks=True, ignore=LEFT_OUT)
        else:
            shutil.copy(original, into / name)
    return into
