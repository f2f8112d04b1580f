"""The unit tests on the other versions of Python that pyproject.toml promises: ``make unit-all-pythons``.

An interpreter is looked for on the PATH and among those of pyenv. Which versions ran and which did not is said last,
in capitals where one is missing. Each version has an environment of its own in ``.cache``, made anew when what goes
into it has changed.
"""

import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from shutil import which

ROOT = Path(__file__).resolve().parents[1]
MADE_FROM = (ROOT / "requirements.lock", ROOT / "pyproject.toml")
OF_THE_TESTS = ["--ignore", "tests/unit/test_histories.py", "--ignore", "tests/unit/test_random_models.py"]
"""What looks at the tests' own random models and logs, at length."""
TESTS = ["-m", "pytest", "tests/unit", *OF_THE_TESTS, "--hypothesis-profile", "few", "-q", "-p", "no:cacheprovider"]
"""The unit tests, with few random histories: the usual run has drawn many, and they do not depend on the version."""


def main() -> int:
    """Run them; 0 where every version that is here passed."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    outcomes = {version: outcome_on(version) for version in promised_versions() if version != here}
    print(f"Unit tests by version of Python: {here} is the one of make unit")
    for version, outcome in outcomes.items():
        print(f"  {version}: {outcome}")
    return int("FAILED" in outcomes.values())


def promised_versions() -> list[str]:
    """The versions in the classifiers."""
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())


def outcome_on(version: str) -> str:
    """Run the unit tests on a version: ``passed``, ``FAILED`` or ``NOT RUN`` and why."""
    interpreter = next((path for path in candidates(version) if is_version(path, version)), None)
    if interpreter is None:
        return f"NOT RUN: no python{version} on the PATH or in pyenv"
    print(f"== Python {version}: {interpreter}", flush=True)
    run = subprocess.run([environment(interpreter, version), *TESTS], cwd=ROOT, check=False)
    return "passed" if run.returncode == 0 else "FAILED"


def candidates(version: str) -> Iterator[Path]:
    """Where an interpreter of the version may be."""
    on_path = which(f"python{version}")
    if on_path:
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)


def is_version(interpreter: Path, version: str) -> bool:
    """Whether it runs at all, which a shim of pyenv may not, and is of the version."""
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    run = subprocess.run([interpreter, "-c", program], capture_output=True, text=True, check=False)
    return run.returncode == 0 and run.stdout.strip() == version


def environment(interpreter: Path, version: str) -> Path:
    """The interpreter of a virtual environment with everything the unit tests need."""
    checksum = zlib.crc32(b"".join(path.read_bytes() for path in MADE_FROM))
    folder = ROOT / ".cache" / f"python-{version}-{checksum:08x}"
    python = folder / "bin" / "python"
    made = folder / "made"
    if not made.exists():
        subprocess.run([interpreter, "-m", "venv", "--clear", folder], check=True)
        install = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--constraint",
            "requirements.lock",
        ]
        subprocess.run([python, *install, "--editable", ".[demo,test]"], cwd=ROOT, check=True)
        made.touch()
    return python


if __name__ == "__main__":
    sys.exit(main())
