"""Prometheus and promtool: those of this machine, or those of Debian's package."""

import shutil
from pathlib import Path

from tests.debian_packages import package_alone, unpacked
from tests.servers import CACHE

PACKAGE = "prometheus"
UNPACKED = CACHE / "debian-prometheus"


def prometheus_binary() -> Path:
    """The server; ``ServerNotAvailable`` where it cannot be had."""
    return _program("prometheus")


def promtool_binary() -> Path:
    """The checker of expositions, settings and rules; ``ServerNotAvailable`` where it cannot be had."""
    return _program("promtool")


def _program(name: str) -> Path:
    if installed := shutil.which(name):
        return Path(installed)
    # What the package depends on beside libc are the scripts of its web pages.
    return unpacked(PACKAGE, UNPACKED, package_alone(PACKAGE)) / "usr" / "bin" / name
