"""The old version as a program: taken out of the git history and installed into an environment of its own.

``python -m tests.old_version.checkout`` makes ``fixture.json`` anew with it.
"""

import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "5eac88c"
"""States of format 2, fences and log of format 1: what was published last before events were told apart by type."""
FOLDER = ROOT / ".cache" / f"version-{COMMIT}"
INSTALL_TIMEOUT_S = 600


class NoHistoryError(Exception):
    """The old version is not in the git history that is here."""


def source() -> Path:
    """The old version's files."""
    folder = FOLDER / "source"
    if not (folder / "pyproject.toml").exists():
        with tarfile.open(fileobj=BytesIO(_archive())) as archive:
            archive.extractall(folder, filter="data")
    return folder


def interpreter() -> Path:
    """Python with the old version installed, and what it asks for in the versions of its time."""
    python = FOLDER / "venv" / "bin" / "python"
    made = FOLDER / "made"
    if not made.exists():
        files = source()
        subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER / "venv"], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        constraint = ["--constraint", str(files / "requirements.lock")]
        subprocess.run([*install, *constraint, str(files)], check=True, timeout=INSTALL_TIMEOUT_S)
        made.touch()
    return python


def _archive() -> bytes:
    command = ["git", "archive", "--format=tar", COMMIT]
    try:
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoHistoryError(
            f"commit {COMMIT} is not in the git history that is here: git fetch --unshallow gets it"
        ) from error


def main() -> None:
    """Make the fixture."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(source() / "src"), str(ROOT)])}
    fixture = Path(__file__).with_name("fixture.json")
    subprocess.run([interpreter(), "-m", "tests.old_version.make_fixture", fixture], cwd=ROOT, env=environ, check=True)


if __name__ == "__main__":
    main()
