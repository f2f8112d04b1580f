"""A Python whose programs believe that it is another time: for a worker on a machine with a wrong clock.

The clock that is read is Python's. What librdkafka measures, and the timestamps that it gives to records, stay right.
"""

import sys
from pathlib import Path

CLOCK = """
import time

_right = time.time
time.time = lambda: _right() + {ahead_s}
"""


CLOCK_THAT_STEPS = """
import os, time

_right = time.time

def _now():
    try:
        with open({step!r}) as step:
            return _right() + float(step.read())
    except FileNotFoundError:
        return _right()

time.time = _now
"""


def python_with_clock(folder: Path, ahead_s: float) -> Path:
    """The program to start; ``ahead_s`` below zero is a clock that is behind."""
    return _python(folder / f"clock{ahead_s:+.0f}", CLOCK.format(ahead_s=ahead_s))


def python_whose_clock_steps(folder: Path, step: Path) -> Path:
    """The program to start; its clock is right until the file ``step`` says how many seconds it is ahead."""
    return _python(folder / "steps", CLOCK_THAT_STEPS.format(step=str(step)))


def _python(home: Path, clock: str) -> Path:
    home.mkdir(exist_ok=True)
    (home / "sitecustomize.py").write_text(clock)
    program = home / "python"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{home}" exec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    return program
