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


def python_with_clock(folder: Path, ahead_s: float) -> Path:
    """The program to start; ``ahead_s`` below zero is a clock that is behind."""
    home = folder / f"clock{ahead_s:+.0f}"
    home.mkdir(exist_ok=True)
    (home / "sitecustomize.py").write_text(CLOCK.format(ahead_s=ahead_s))
    program = home / "python"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{home}" exec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    return program
