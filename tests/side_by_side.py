"""Every test, in four lanes side by side: ``make test``.

Tests with servers wait most of the time, those without never do. So two lanes share the tests with servers, each with a
Kafka of its own, and take from one list of test files what the other has not begun (``tests/shared_files.py``): neither
ends long before the other, whatever a file takes. The two lanes without servers have what processor time those leave,
so that they do not slow what waits, and both cores once those have ended. The first lane is shown as it runs; what the
others printed comes after it. All lanes always run to their end.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.shared_files import OPTION

PYTHON = (sys.executable, "-m")
PACKAGING = "tests/e2e/test_packaging.py"
"""It needs no server, but what the compiled build has made."""
WITH_SERVERS = ((*PYTHON, "pytest", "tests/integration", "tests/e2e", "--ignore", PACKAGING),)
ON_THIS_PYTHON = ((*PYTHON, "pytest", "tests/unit"),)
ON_OTHERS = (
    (*PYTHON, "tests.compiled_build"),
    (*PYTHON, "pytest", PACKAGING),
    (*PYTHON, "tests.other_pythons"),
    (*PYTHON, "tests.audit"),
)
"""The compiled build also runs the main job on servers of its own. What the audit says are the last words of all."""
LOWER_PRIORITY = 10

Lane = Sequence[Sequence[str]]
FIRST = "with servers, one half"
LANES: Mapping[str, Lane] = {
    FIRST: WITH_SERVERS,
    "with servers, the other half": WITH_SERVERS,
    "without servers": ON_THIS_PYTHON,
    "without servers, on other builds": ON_OTHERS,
}


class Beside(NamedTuple):
    """A lane that runs beside the one that is shown."""

    name: str
    process: "subprocess.Popen[bytes]"
    output: Path


def main() -> int:
    """Run all lanes; 0 where every command of each passed."""
    if sys.argv[1:]:
        return run(sys.argv[1], sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        beside = [start(name, folder) for name in LANES if name != FIRST]
        try:
            failed = run(FIRST, folder)
            print("== The other lanes are still running; what they printed is shown when both have ended", flush=True)
            failed += sum(lane.process.wait() for lane in beside)
        finally:
            for lane in beside:
                end(lane)
    return min(failed, 1)


def start(name: str, folder: str) -> Beside:
    """Run a lane in a process of its own."""
    path = Path(folder, f"{name}.txt")
    with path.open("wb") as output:
        process = subprocess.Popen(
            [*PYTHON, "tests.side_by_side", name, folder],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # ended here on Ctrl-C, with everything it has started
        )
    return Beside(name, process, path)


def run(name: str, folder: str) -> int:
    """Run the commands of a lane one after the other, also after one that failed; how many did."""
    has_servers = LANES[name] is WITH_SERVERS
    if not has_servers:
        os.nice(LOWER_PRIORITY)
    share = (OPTION, folder) if has_servers else ()
    commands = [(*command, *share) for command in LANES[name]]
    failed = [command for command in commands if subprocess.run(command, check=False).returncode]
    for command in failed:
        print(f"FAILED: {' '.join(command[1:])}", flush=True)
    return len(failed)


def end(lane: Beside) -> None:
    """Stop what still runs of a lane, and print what it has printed into its file."""
    if lane.process.poll() is None:
        os.killpg(lane.process.pid, signal.SIGTERM)
        lane.process.wait()
    print(f"== The lane {lane.name}", flush=True)
    sys.stdout.buffer.write(lane.output.read_bytes())
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
