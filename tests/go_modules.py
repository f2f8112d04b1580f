"""Schemas that other projects publish with their Go modules, as the ``go`` command fetches and checks them.

A module is downloaded once into Go's own cache, as source: nothing of it is compiled here, or copied.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.servers import DOWNLOAD_TIMEOUT_S, ServerNotAvailable

COMPOSE_GO = ("github.com/compose-spec/compose-go/v2", "v2.16.2")
KEDA = ("github.com/kedacore/keda/v2", "v2.21.0")
PROMETHEUS_OPERATOR = ("github.com/prometheus-operator/prometheus-operator", "v0.85.0")


def module_folder(module: tuple[str, str]) -> Path:
    """The folder with the files of the module; ``ServerNotAvailable`` where it is not to be had."""
    name, version = module
    go = shutil.which("go")
    if go is None:
        raise ServerNotAvailable(f"there is no go to fetch {name} with")
    with tempfile.TemporaryDirectory() as folder:  # outside of every module
        command = [go, "mod", "download", "-json", f"{name}@{version}"]
        run = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=DOWNLOAD_TIMEOUT_S
        )
    answer = json.loads(run.stdout or "{}")
    if "Dir" not in answer:
        raise ServerNotAvailable(f"{name} {version}: {answer.get('Error', run.stderr)}")
    return Path(answer["Dir"])
