"""docs/walkthrough.md as a newcomer follows it: every block of the page, in its order, on real servers."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.conftest import NEEDS_KAFKA, asking_for
from tests.servers import ServerNotAvailable, free_ports
from tests.source_tree import ROOT, copy_tree

PAGE = (ROOT / "docs" / "walkthrough.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SERVERS = re.findall(r"^\| `(make \w+)` \|", PAGE, re.MULTILINE)
ADDRESSES = re.findall(r"^export (\w+)=(\S*localhost\S*)$", PAGE, re.MULTILINE)
TIME_LIMIT_S = 15 * 60

pytestmark = [pytest.mark.lasting_leads, pytest.mark.timeout(300)]


@contextmanager
def started(command: str) -> Iterator[str]:
    """The address that a command of the page prints once its server answers."""
    [port] = free_ports(1)
    process = subprocess.Popen(
        [*shlex.split(command), f"PORT={port}"],
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield _address_from(process)
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # as Ctrl-C, which a test run in the background does not pass on
        process.communicate(timeout=60)


def _address_from(process: "subprocess.Popen[str]") -> str:
    said = ""
    for line in process.stdout or ():
        said += line
        if printed := re.search(r"export LEADSCORE_(?!TEST_)\w+=(\S+)$|A CRM at (\S+)\. ", line):
            return str(printed[1] or printed[2])
    raise ServerNotAvailable(said)


@pytest.fixture
def servers() -> Iterator[dict[str, str]]:
    """The addresses of the page, and those of the servers that its commands start."""
    with ExitStack() as ending:
        with asking_for(NEEDS_KAFKA):
            printed = [ending.enter_context(started(command)) for command in SERVERS]
        yield {of_page: own for (_, of_page), own in zip(ADDRESSES, printed, strict=True)}


def folder_of_a_newcomer(folder: Path) -> Path:
    """The repository as far as the page uses it: what the page writes must not come into ours."""
    copy_tree(folder)
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def at_these_addresses(script: str, addresses: dict[str, str]) -> str:
    """The script with the addresses of the test's servers in the place of those of the page."""
    for of_page, of_test in addresses.items():
        assert of_page in script, f"the page does not name {of_page}"
        script = script.replace(of_page, of_test)
    return script


def test_the_page_leads_from_own_topics_to_a_task_in_the_crm_in_time(servers: dict[str, str], tmp_path: Path) -> None:
    [port] = free_ports(1)
    addresses = servers | {"http://localhost:9464": f"http://localhost:{port}"}
    script = "set -eu -o pipefail\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n" + "\n".join(STEPS)
    begun_s = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", at_these_addresses(script, addresses)],
        cwd=folder_of_a_newcomer(tmp_path),
        env=_environment(LEADSCORE_HTTP_PORT=str(port)),
        capture_output=True,
        text=True,
        check=False,
        timeout=270,
    )
    logs = "".join(path.read_text() for path in (tmp_path / "walkthrough").glob("*.log"))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"
    assert time.monotonic() - begun_s < TIME_LIMIT_S
    with urlopen(f"{addresses['http://localhost:8090']}/tasks", timeout=10) as answer:
        assert [task["contact"] for task in json.load(answer)] == ["c-17"]
    assert "0 problem" in done.stdout
    assert "not delivered: 0" in done.stdout
    assert "Last crossings" in done.stdout


def _environment(**more: str) -> dict[str, str]:
    """That of a shell without settings of leadscore, in which no environment of Python is active."""
    ours = ("LEADSCORE", "VIRTUAL_ENV", "MAKE", "MFLAGS")
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if not folder.endswith(".venv/bin")]
    return inherited | {"PATH": os.pathsep.join(folders)} | more


def test_every_block_of_the_page_is_run() -> None:
    assert SERVERS == ["make kafka", "make redis", "make registry", "make crm"]
    assert len(STEPS) == PAGE.count("\n```sh") == PAGE.count("```") / 2 >= 9
