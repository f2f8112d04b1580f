"""The end of ``leadscore run`` has a limit however it begins, though the main thread never comes back."""

import subprocess
import sys

import pytest

from leadscore.cli.ending import Exit

STUCK = """
import os, signal, threading
import leadscore.cli.ending as module
module.CLOSING_S, module.STARTING_S = 0.1, 0.1
ending = module.Ending()
ending.listen()
ending.started_logging(lambda: print("in order", flush=True), lambda: print("by force", flush=True))
"""
STUCK_FOR_EVER = "\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()"
ASKED = "os.kill(os.getpid(), signal.SIGTERM)\n"


@pytest.mark.parametrize(
    ("begins", "exit_code", "said"),
    [
        (ASKED, Exit.DONE, "in order"),
        ("ending.started(0.1)\n" + ASKED, Exit.DRAIN_GIVEN_UP, "by force"),
        ("ending.started(0.1)\nending.stopping.begin_end(has_failed=True)", Exit.FAILED, "by force"),
        ("ending.started(60)\n" + ASKED + "module.Stopping().wait(0.2)\n" + ASKED, Exit.ASKED_TWICE, ""),
    ],
    ids=["asked while starting", "asked later", "by itself", "asked twice"],
)
def test_an_end_that_hangs_is_forced(begins: str, exit_code: Exit, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STUCK + begins + STUCK_FOR_EVER],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout.strip()) == (exit_code, said), done.stderr
