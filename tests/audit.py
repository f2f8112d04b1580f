"""Looks every version of ``requirements.lock`` up in PyPI's database of known vulnerabilities: ``make audit``.

pip-audit asks, from an environment of its own in ``.cache``. It says nothing and succeeds where the database has no
answer (a mirror of PyPI without its JSON API, for example), so a version that is known to be vulnerable is asked for
with the others: only an answer that names it is one.

A vulnerability fails the run. No answer does not, unless ``--must-ask``: a run whose registry has no such database
would fail for ever, and no change of the code could help. It is said in capitals instead, at the end of ``make test``.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.servers import CACHE, ROOT

LOCK = ROOT / "requirements.lock"
PIP_AUDIT = "pip-audit==2.10.1"
KNOWN_TO_BE_VULNERABLE = "jinja2==2.4.1"
ACCEPTED: dict[str, str] = {}
"""By the id of a vulnerability: why it does not concern this product, and until when that was looked at."""
TIMEOUT_S = 300


class NotAsked(Exception):
    """There is no answer; the message says why."""


class Vulnerability(NamedTuple):
    """One that is known of a version that is locked."""

    package: str
    id: str
    fixed_in: str

    def __str__(self) -> str:
        return f"{self.package}: {self.id}, fixed in {self.fixed_in or 'no version yet'}"


def main(words: Sequence[str]) -> int:
    """1 where a vulnerability is known that is not accepted."""
    try:
        known_ones = vulnerabilities(answer())
    except NotAsked as reason:
        print(f"Known vulnerabilities of the locked versions: NOT RUN: {reason}")
        return int("--must-ask" in words)
    concerning = [one for one in known_ones if one.id not in ACCEPTED]
    for one in concerning:
        print(f"VULNERABLE: {one}")
    print(f"Known vulnerabilities of the locked versions: {len(concerning)}")
    return int(bool(concerning))


def answer() -> str:
    """What pip-audit says of the locked versions and the one that is known to be vulnerable."""
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "requirements.txt"
        asked.write_text(f"{LOCK.read_text()}{KNOWN_TO_BE_VULNERABLE}\n")
        source = ["--requirement", str(asked), "--no-deps", "--disable-pip", "--vulnerability-service", "pypi"]
        # It succeeds where nothing is vulnerable, and says the same either way: what counts is what it says.
        return run([str(pip_audit()), *source, "--format", "json", "--progress-spinner", "off"], may_fail=True)


def pip_audit() -> Path:
    """The program, installed once."""
    environment = CACHE / PIP_AUDIT.replace("==", "-")
    program = environment / "bin" / "pip-audit"
    if not program.exists():
        run([sys.executable, "-m", "venv", "--clear", str(environment)])
        run([str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", PIP_AUDIT])
    return program


def run(command: Sequence[str], *, may_fail: bool = False) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as silence:
        raise NotAsked(str(silence)) from silence
    if done.returncode != 0 and not (may_fail and done.stdout):
        raise NotAsked((done.stderr.strip().splitlines() or [f"{command[0]} failed"])[-1])
    return done.stdout


def vulnerabilities(said: str) -> list[Vulnerability]:
    """What is known of the locked versions; ``NotAsked`` where a version was skipped, or the sample is not named."""
    packages = json.loads(said)["dependencies"]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if skipped:
        raise NotAsked(f"the database has no answer for {len(skipped)} of {len(packages)} packages")
    known_ones = [
        Vulnerability(f"{package['name']} {package['version']}", one["id"], ", ".join(one["fix_versions"]))
        for package in packages
        for one in package["vulns"]
    ]
    sample = KNOWN_TO_BE_VULNERABLE.replace("==", " ")
    if not any(one.package == sample for one in known_ones):
        raise NotAsked(f"the database does not know that {sample} is vulnerable")
    return [one for one in known_ones if one.package != sample]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
