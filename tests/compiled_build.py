"""The unit tests, and the main job on real servers, on the compiled build: ``make unit-compiled``.

The wheel is built like a release, with the C compiler of this machine, and installed into a folder in ``.cache``, which
stands before the source on the path. It is built anew when what goes into it has changed. Without a C compiler the run
fails on CI; elsewhere it says in capitals that nothing was run.
"""

import os
import subprocess
import sys
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path

from leadscore.build_kind import COMPILED
from tests.conftest import on_ci
from tests.other_pythons import OF_THE_TESTS
from tests.source_tree import ROOT, copy_tree

MADE_FROM = (
    "setup.py",
    "pyproject.toml",
    "requirements.lock",
    "src/**/*.py",
    "src/**/*.lua",
    "schemas/**/*",
    "deploy/*",
)
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
TESTS = ["tests/unit", *OF_THE_TESTS, "tests/e2e/test_main_job.py", "--hypothesis-profile", "few"]
"""As on the other versions of Python: what random histories show of the source, ``make test`` has shown."""
EXPECTED = {"LEADSCORE_TEST_BUILD": COMPILED}
"""``tests/unit/test_build_kind.py`` fails where another build runs than the one that is named here."""


class NoCompiler(Exception):
    """Nothing can be compiled on this machine."""


def main() -> int:
    """Build, run; 0 where every test passed."""
    try:
        installed = compiled_build()
    except NoCompiler as failure:
        print(f"Unit tests on the compiled build: NOT RUN: {failure}")
        return int(on_ci())
    command = [sys.executable, "-m", "pytest", *TESTS, "-q", "-rs", "-p", "no:cacheprovider", *sys.argv[1:]]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | in_front(installed) | EXPECTED, check=False)
    print(f"Unit tests on the compiled build, Python {VERSION}: {'FAILED' if run.returncode else 'passed'}")
    return run.returncode


def in_front(installed: Path) -> dict[str, str]:
    """The variable that puts the compiled build before the source on the path, here and in every worker started."""
    return {"PYTHONPATH": str(installed)}


def compiled_build() -> Path:
    """The folder with the compiled build of the source as it is now; ``NoCompiler`` where it cannot be built."""
    checksum = 0
    for path in sorted({path for pattern in MADE_FROM for path in ROOT.glob(pattern) if path.is_file()}):
        checksum = zlib.crc32(path.relative_to(ROOT).as_posix().encode() + path.read_bytes(), checksum)
    folder = ROOT / ".cache" / f"compiled-{VERSION}-{checksum:08x}"
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            install(copy_tree(Path(made, "tree")), Path(made, "installed"))
            with suppress(OSError):  # another process was quicker
                Path(made, "installed").rename(folder)
    return folder


def install(tree: Path, folder: Path) -> None:
    """Build the wheel of the tree and install it into the folder."""
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--upgrade"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), str(tree)]
    environ = os.environ | {"LEADSCORE_BUILD": COMPILED}
    run = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if run.returncode:
        output = f"{run.stdout}{run.stderr}"
        raise NoCompiler(output) if "needs a C compiler" in output else SystemExit(output)


if __name__ == "__main__":
    sys.exit(main())
