"""The demo as in a fresh clone of the repository: without servers, its output, its end."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from tests.servers import wait_until

ROOT = Path(__file__).resolve().parents[2]
MARK = "LEADSCORE_TEST_DEMO"
HAS_BEGUN = b"joins its consumer groups"
# Makes standard input the terminal that Ctrl-C is typed on, then runs its arguments in its place.
TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""

needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")


class Ended(NamedTuple):
    """A demo that has ended."""

    code: int
    output: str
    errors: str

    @property
    def summary(self) -> dict[str, Any]:
        summary = json.loads(self.output.splitlines()[-1])
        assert isinstance(summary, dict)
        return summary


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "leadscore.cli.main", "demo", *options]


def environ(mark: str = "") -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEADSCORE_")}
    return kept | {MARK: mark, "TERM": "xterm", "PYTHONUNBUFFERED": "1"}


def marked_processes(mark: str) -> list[int]:
    """Every process that was started by the demo with this mark, and the demo."""
    process_ids = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                process_ids.append(int(folder.name))
    return process_ids


def wait_for_words(stream: int, words: bytes) -> bytes:
    seen = b""
    while words not in seen:
        more = os.read(stream, 65_536)
        assert more, f"it ended before it said {words!r}:\n{seen.decode()}"
        seen += more
    return seen


def read_to_end(stream: int) -> bytes:
    """What is still to come; reading a terminal without a writer is an error on Linux."""
    parts = []
    with contextlib.suppress(OSError):
        while more := os.read(stream, 65_536):
            parts.append(more)
    return b"".join(parts)


@pytest.fixture
def mark() -> Iterator[str]:
    """A mark for the processes of one demo; whatever has it after the test is ended."""
    mark = uuid4().hex
    yield mark
    for process in marked_processes(mark):
        os.kill(process, signal.SIGKILL)


@pytest.fixture(scope="module")
def ended() -> Ended:
    """A demo in a pipe, from start to end."""
    options = ("--duration", "8", "--json", "--leads", "300", "--seed", "7")
    done = subprocess.run(
        command(*options), check=False, capture_output=True, text=True, env=environ(), cwd=ROOT, timeout=100
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def test_the_demo_ends_by_itself_and_its_numbers_add_up(ended: Ended) -> None:
    summary = ended.summary
    assert ended.code == 0, ended.errors
    accounted = sum(summary[name] for name in ("events_applied", "duplicates", "ignored", "dead_letters"))
    assert summary["events_produced"] == accounted
    assert summary["crossings"] == summary["entered"] + summary["left"]
    assert summary["waiting"] == 0
    assert summary["events_per_second"] == pytest.approx(summary["events_produced"] / summary["seconds"], rel=0.01)


def test_the_demo_has_something_of_everything(ended: Ended) -> None:
    interesting = ("events_applied", "duplicates", "ignored", "dead_letters", "entered", "left")
    assert {name: ended.summary[name] > 0 for name in interesting} == dict.fromkeys(interesting, True)
    assert 200 < ended.summary["leads"] <= 300


def test_the_demo_shows_the_whole_cycle(ended: Ended) -> None:
    """Visitors who become known, another score than the main one, and leads that sales gives back."""
    assert ended.summary["became_known"] > 10
    assert {"accepted", "rejected"} <= {outcome for outcome, number in ended.summary["said"].items() if number}
    for shown in ("the visitor became known", "expansion score", "service score", "given back by crm.rejected"):
        assert shown in ended.output, shown


def test_the_demo_says_first_what_is_going_on(ended: Ended) -> None:
    first = ended.output.splitlines()[0]
    assert first.startswith("leadscore demo, about 8 s; Ctrl-C ends it.")


def test_every_crossing_of_the_demo_is_one_line_with_its_reasons_below(ended: Ended) -> None:
    lines = ended.output.splitlines()
    heads = [number for number, line in enumerate(lines) if " entered " in line or " left " in line]
    assert len(heads) == ended.summary["crossings"]
    assert all(lines[number + 1].startswith("    because ") for number in heads)


def test_without_a_terminal_the_demo_prints_plain_lines(ended: Ended) -> None:
    assert "\x1b" not in ended.output
    assert "\r" not in ended.output
    assert "The hottest leads:" in ended.output
    assert ended.errors == ""


@needs_proc
def test_ctrl_c_ends_the_demo_with_the_summary_so_far_and_no_process_is_left(mark: str) -> None:
    terminal, inside = pty.openpty()
    demo = subprocess.Popen(
        [sys.executable, "-c", TAKE_TERMINAL, *command("--duration", "60", "--json")],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env=environ(mark),
        cwd=ROOT,
        start_new_session=True,
    )
    os.close(inside)
    shown = wait_for_words(terminal, b" entered ")
    assert len(marked_processes(mark)) > 1
    os.write(terminal, b"\x03")
    shown += read_to_end(terminal)
    os.close(terminal)
    summary = Ended(demo.wait(30), shown.decode(), "").summary
    assert demo.returncode == 0
    accounted = sum(summary[name] for name in ("events_applied", "duplicates", "ignored", "dead_letters", "waiting"))
    assert summary["events_produced"] == accounted
    assert summary["waiting"] > 0
    assert summary["entered"] > 0
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l"), "the cursor was not given back"
    assert marked_processes(mark) == []


@needs_proc
def test_a_demo_that_is_killed_leaves_no_process_behind(mark: str) -> None:
    demo = subprocess.Popen(command("--duration", "60"), stdout=subprocess.PIPE, env=environ(mark), cwd=ROOT)
    assert demo.stdout is not None
    wait_for_words(demo.stdout.fileno(), HAS_BEGUN)
    assert len(marked_processes(mark)) > 1
    demo.kill()
    demo.wait(10)
    demo.stdout.close()
    wait_until(lambda: not marked_processes(mark), 10, "the end of every process of the demo")


def test_sigterm_ends_the_demo_with_its_summary() -> None:
    demo = subprocess.Popen(command("--duration", "60", "--json"), stdout=subprocess.PIPE, env=environ(), cwd=ROOT)
    assert demo.stdout is not None
    shown = wait_for_words(demo.stdout.fileno(), HAS_BEGUN)
    demo.terminate()
    shown += read_to_end(demo.stdout.fileno())
    demo.stdout.close()
    assert demo.wait(30) == 0
    assert Ended(0, shown.decode(), "").summary["waiting"] > 0
