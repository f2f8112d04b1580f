"""The image's steps without an engine for containers: ``make image-check``.

``deploy/install.sh`` runs as in the image. What it installed runs as the image's user, without any privilege and with
every file system that it sees read-only. Needs root and Linux, to become that user and to have mounts of its own.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import requires
from pathlib import Path

import pytest

from leadscore.events.event import Event
from tests.conftest import on_ci
from tests.deployment import Deployment, WorkerProcess, now_ms
from tests.servers import free_ports, wait_until
from tests.source_tree import ROOT, copy_tree

pytestmark = [pytest.mark.full, pytest.mark.lasting_leads, pytest.mark.timeout(900)]

USER = re.findall(r"^USER ([0-9]+):([0-9]+)$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)[0]
READ_ONLY = 'mount --make-rprivate / && mount -o remount,bind,ro / && exec setpriv {options} -- "$@"'
UNPRIVILEGED = "--reuid {} --regid {} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all".format(*USER)
"""As ``cap_drop: ALL`` and ``no-new-privileges`` in compose, and the security context of the chart."""
ONLY_OLD_PYTHONS = {"async-timeout"}
"""What redis needs on Python 3.11.2 and older, which the image does not have."""


MODEL = {
    "model": "image",
    "version": 1,
    "rules": {"pricing_page": {"event": "website.page_view", "points": 30}},
    "thresholds": {"mql": {"enter": 55, "exit": 40}},
}


def can_be_the_user() -> str | None:
    """Why not, if it cannot."""
    if os.name != "posix" or os.geteuid() != 0:
        return "needs root, to become the user of the image"
    command = ["unshare", "--mount", "sh", "-c", READ_ONLY.format(options=UNPRIVILEGED), "sh", "true"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"no mounts of its own here: {run.stderr.strip()}" if run.returncode else None


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that every user may read, unlike those of pytest."""
    reason = can_be_the_user()
    if reason is not None:
        assert not on_ci(), reason
        pytest.skip(f"NOT RUN: {reason}")
    folder = Path(tempfile.mkdtemp(prefix="leadscore-image-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def python_of_everyone() -> str:
    """A Python that other users may run; the one of these tests may lie in a user's home."""
    candidates = [Path(sys.executable).resolve(), Path("/usr/local/bin/python3"), Path("/usr/bin/python3")]
    for path in candidates:
        if path.exists() and all(folder.stat().st_mode & 0o005 for folder in path.resolve().parents):
            return str(path)
    pytest.fail(f"none of {candidates} can be run by other users")


@pytest.fixture(scope="module")
def installed(place: Path) -> Path:
    """The folder /opt/leadscore of the image."""
    tree = copy_tree(place / "source")
    shutil.copy(ROOT / "requirements.lock", tree)
    environ = os.environ | {"PYTHON": python_of_everyone()}
    command = ["sh", "deploy/install.sh", str(place / "leadscore")]
    run = subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True, timeout=800, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    kind = os.environ.get("LEADSCORE_BUILD", "compiled")
    assert f"({kind}, Python 3." in run.stdout
    return place / "leadscore"


def as_the_user(installed: Path) -> list[str]:
    """What stands before the words of a command."""
    return [
        *(str(shutil.which("unshare")), "--mount", "sh", "-c", READ_ONLY.format(options=UNPRIVILEGED), "sh"),
        str(installed / "bin" / "leadscore"),
    ]


def environment_of_the_image(settings: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", **settings}


def test_the_worker_runs_as_the_user_of_the_image_on_a_read_only_disk(
    deploy: Callable[..., Deployment], installed: Path, place: Path
) -> None:
    deployment = deploy(MODEL)
    model = place / "model.yaml"
    model.write_bytes(deployment.model_path.read_bytes())
    (port,) = free_ports(1)
    deployment.environ |= environment_of_the_image({"LEADSCORE_MODEL": str(model), "LEADSCORE_HTTP_PORT": str(port)})
    worker = deployment.start_installed(as_the_user(installed))
    worker.wait_for("shards_started", 60)
    health = [*as_the_user(installed), "health", "ready"]
    environ = deployment.config()
    wait_until(
        lambda: subprocess.run(health, env=environ, capture_output=True, check=False).returncode == 0, 60, "ready"
    )

    assert of_process(worker, "Uid") == [USER[0]] * 4
    assert of_process(worker, "CapEff") == ["0000000000000000"]
    events = [Event("website.page_view", f"e{n}", "L1", now_ms(), {"path": "/pricing"}) for n in range(2)]
    deployment.send(events)
    deployment.wait_until_done()
    assert [crossing["lead_id"] for crossing in deployment.crossings()] == ["L1"]
    assert worker.terminate() == 0
    assert subprocess.run(health, env=environ, capture_output=True, check=False).returncode == 1


def of_process(worker: WorkerProcess, name: str) -> list[str]:
    """The words of a line of /proc/PID/status: of the process itself, which every wrapper became."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    return next(line.split()[1:] for line in status.splitlines() if line.startswith(f"{name}:"))


def test_the_bill_of_materials_lists_what_is_installed_in_the_locked_versions(installed: Path) -> None:
    bill = json.loads((installed / "sbom.cdx.json").read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "leadscore")
    versions = {normalised(one["name"]): one["version"] for one in bill["components"]}
    locked = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line)
    locked = {normalised(name): version for name, version in locked.items()}
    versions = {name: version for name, version in versions.items() if name not in ONLY_OLD_PYTHONS}
    assert versions == {name: locked.get(name) for name in versions}
    direct = [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in requires("leadscore") or [] if "extra ==" not in line]
    assert {normalised(name) for name in direct} <= versions.keys()
    distributions = {normalised(path.name.split("-")[0]) for path in installed.rglob("*.dist-info")}
    assert distributions - ONLY_OLD_PYTHONS - {"leadscore"} == versions.keys()


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
