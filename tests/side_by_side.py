"""Every test, in two lanes side by side: ``make test``.

Tests with servers wait most of the time, those without never do, so on two cores one lane hardly slows the other. The
lane with servers is shown as it runs; what the other one printed comes after it. Both lanes always run to their end.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import IO

PYTHON = (sys.executable, "-m")
WITH_SERVERS = ((*PYTHON, "pytest", "tests/integration", "tests/e2e"),)
WITHOUT_SERVERS = (
    (*PYTHON, "pytest", "tests/unit"),
    (*PYTHON, "tests.other_pythons"),
    (*PYTHON, "tests.compiled_build"),
    (*PYTHON, "tests.audit"),
)
"""The compiled build also runs the main job on servers of its own. What the audit says are the last words of all."""

Lane = Sequence[Sequence[str]]


def main() -> int:
    """Run both lanes; 0 where every command of both passed."""
    if sys.argv[1:]:
        return run(WITHOUT_SERVERS)
    with tempfile.TemporaryFile() as output:
        other = subprocess.Popen(
            [*PYTHON, "tests.side_by_side", "without-servers"],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # ended here on Ctrl-C, with everything it has started
        )
        try:
            failed = run(WITH_SERVERS)
            print("== The lane without servers is still running; it is shown when it ends", flush=True)
            failed += other.wait()
        except BaseException:
            os.killpg(other.pid, signal.SIGTERM)
            raise
        finally:
            show(output)
    return min(failed, 1)


def run(lane: Lane) -> int:
    """Run the commands one after the other, also after one that failed; how many did."""
    failed = [command for command in lane if subprocess.run(command, check=False).returncode]
    for command in failed:
        print(f"FAILED: {' '.join(command[1:])}", flush=True)
    return len(failed)


def show(output: IO[bytes]) -> None:
    """Print what a lane has printed into a file."""
    output.seek(0)
    print("== The lane without servers", flush=True)
    for line in output:
        sys.stdout.buffer.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
