"""Packages of Node, installed once for each content of a ``package.json``, in ``.cache``."""

import shutil
import subprocess
import tempfile
import zlib
from pathlib import Path

from tests.servers import CACHE, ServerNotAvailable

INSTALL_TIMEOUT_S = 300
INSTALL = ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")


def node_packages(package: Path) -> Path:
    """The folder ``node_modules``; ``ServerNotAvailable`` without node."""
    installed = CACHE / f"{package.parent.name}-{zlib.crc32(package.read_bytes()):08x}"
    if not shutil.which("node") or not shutil.which("npm"):
        raise ServerNotAvailable("there is no node, or no npm to get it with")
    if not installed.is_dir():
        _install(package, installed)
    return installed / "node_modules"


def _install(package: Path, installed: Path) -> None:
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as partial:
        shutil.copy(package, partial)
        subprocess.run(INSTALL, cwd=partial, check=True, timeout=INSTALL_TIMEOUT_S)
        if not installed.is_dir():  # else another run was faster
            shutil.copytree(partial, installed)
