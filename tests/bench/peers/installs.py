"""Gets the other systems from the package registries, at fixed versions, into ``.cache``; each once for its inputs."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.clock import say
from tests.servers import CACHE, ROOT

QUIX = ("quixstreams==3.28.1", "confluent-kafka==2.12.2", "fastavro==1.13.1")
KAFKA_STREAMS = ROOT / "tests" / "bench" / "peers" / "kafka-streams"
TIMEOUT_S = 900
TAIL = 1_500


class NotAvailable(Exception):
    """This machine cannot have the system; the message says why."""


def quix() -> Path:
    """The Python of an environment that has Quix Streams."""
    return _once("quix", ["\n".join(QUIX).encode(), sys.version.encode()], _quix) / "bin" / "python"


def leadscore_compiled() -> Path:
    """The Python of an environment with leadscore as a wheel makes it where there is a C compiler."""
    return _leadscore("compiled")


def leadscore_pure() -> Path:
    """The Python of an environment with leadscore where there is no C compiler."""
    return _leadscore("pure")


def kafka_streams() -> Path:
    """The folder with the jar of the Kafka Streams worker, and ``libs``."""
    for program in ("java", "mvn"):
        if not shutil.which(program):
            raise NotAvailable(f"there is no {program}")
    sources = sorted(path for path in KAFKA_STREAMS.rglob("*") if path.is_file() and "target" not in path.parts)
    return _once("kafka-streams", [path.read_bytes() for path in sources], _kafka_streams) / "target"


def _leadscore(build: str) -> Path:
    sources = sorted(path for path in (ROOT / "src").rglob("*") if path.is_file() and not _is_made(path))
    named = [ROOT / name for name in ("pyproject.toml", "requirements.lock", "setup.py") if (ROOT / name).exists()]
    content = [build.encode(), sys.version.encode(), *(path.read_bytes() for path in (*named, *sources))]

    def install(folder: Path) -> None:
        source = folder / "source"
        shutil.copytree(ROOT, source, ignore=_left_out, symlinks=True)
        _environment(folder, [str(source), "-c", str(ROOT / "requirements.lock")], {"LEADSCORE_BUILD": build})
        shutil.rmtree(source)

    return _once(f"leadscore-{build}", content, install) / "bin" / "python"


def _is_made(path: Path) -> bool:
    return path.suffix in {".so", ".pyc"} or any(part.endswith(".egg-info") for part in path.parts)


def _left_out(_folder: str, names: list[str]) -> list[str]:
    made = {"build", "dist", "tests", "docs", "__pycache__"}
    return [name for name in names if name in made or (name.startswith(".") and name != ".") or _is_made(Path(name))]


def _quix(folder: Path) -> None:
    _environment(folder, QUIX, {})


def _environment(folder: Path, packages: Sequence[str], environ: dict[str, str]) -> None:
    """A virtual environment with these packages."""
    _run([sys.executable, "-m", "venv", str(folder)], {})
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([str(folder / "bin" / "python"), *install, *packages], environ)


def _kafka_streams(folder: Path) -> None:
    shutil.copytree(KAFKA_STREAMS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("target"))
    _run(["mvn", "-B", "-q", "-f", str(folder / "pom.xml"), "package"], {})


def _once(name: str, content: Sequence[bytes], install: Callable[[Path], None]) -> Path:
    """The folder that ``install`` filled from this content; an environment is not moved, so a mark says it is whole."""
    folder = CACHE / "bench-peers" / f"{name}-{hashlib.sha256(b'|'.join(content)).hexdigest()[:8]}"
    mark = folder / "whole"
    if not mark.exists():
        say(f"getting {name}")
        for old in folder.parent.glob(f"{name}-????????"):
            shutil.rmtree(old)
        folder.mkdir(parents=True)
        install(folder)
        mark.touch()
    return folder


def _run(command: Sequence[str], environ: dict[str, str]) -> None:
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(
                command, env=os.environ | environ, stdout=output, stderr=output, timeout=TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as failure:
            raise NotAvailable(str(failure)) from failure
        if done.returncode:
            output.seek(0)
            text = output.read().decode(errors="replace").strip()
            raise NotAvailable(f"{' '.join(command[:5])} ... ended with {done.returncode}: {text[-TAIL:]}")
