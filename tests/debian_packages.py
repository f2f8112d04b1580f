"""Programs out of Debian's packages, which their own client fetches and which are unpacked into ``.cache``.

Nothing is installed, and nobody needs to be root.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.servers import CACHE, DOWNLOAD_TIMEOUT_S, ServerNotAvailable

PackagesOf = Callable[[Sequence[str]], Sequence[str]]
"""The names of the packages to fetch, by the options that apt-get needs to know them."""


def unpacked(package: str, folder: Path, packages: PackagesOf) -> Path:
    """The folder with the contents of the packages, fetched once; ``ServerNotAvailable`` where they cannot be had."""
    if not folder.is_dir():
        fetch(package, folder, packages)
    return folder


def fetch(package: str, target: Path, packages: PackagesOf) -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise ServerNotAvailable(f"{package} is not installed, and apt-get is not there to fetch it")
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as partial:
        folder = Path(partial)
        try:
            download(folder, packages, [])
        except ServerNotAvailable:  # this machine has no lists of packages, or old ones
            download(folder, packages, lists_in(folder))
        for archive in folder.glob("*.deb"):
            run(["dpkg-deb", "-x", str(archive), str(folder / "unpacked")], folder)
        if not target.is_dir():  # else another run was faster
            (folder / "unpacked").rename(target)


def download(folder: Path, packages: PackagesOf, options: Sequence[str]) -> None:
    run(["apt-get", *options, "-q", "download", *packages(options)], folder)


def lists_in(folder: Path) -> list[str]:
    """Fetch the lists of packages; the options that make apt-get use them."""
    (folder / "lists" / "partial").mkdir(parents=True)
    (folder / "cache" / "archives" / "partial").mkdir(parents=True)
    options = [f"-oDir::State::lists={folder / 'lists'}", f"-oDir::Cache={folder / 'cache'}"]
    run(["apt-get", *options, "-q", "update"], folder)
    return options


def package_alone(package: str) -> PackagesOf:
    """For a program that needs none of the packages it depends on."""
    return lambda _options: [package]


def package_with_what_is_missing(package: str) -> PackagesOf:
    """The package and what would have to be installed for it to run here."""

    def missing(options: Sequence[str]) -> list[str]:
        simulated = ["apt-get", *options, "-q", "--simulate", "--no-install-recommends", "install", package]
        return re.findall(r"^Inst (\S+)", run(simulated, CACHE), re.MULTILINE)

    return missing


def run(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=DOWNLOAD_TIMEOUT_S)
    if done.returncode != 0:
        raise ServerNotAvailable(f"{command[0]} could not get {command[-1]}: {done.stderr.strip()[-200:]}")
    return done.stdout
