"""The picture of the demo's terminal on the front page, recorded from the real demo.

``python -m tests.demo_picture`` (``make picture``) runs the demo in a terminal of its own, keeps what that shows at one
moment, and draws it.
"""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "demo.svg"
COLUMNS, ROWS = 112, 30
SEED, DURATION_S = 7, 14
SHARE = 0.6
"""How much of what the demo writes is shown: a moment at which most is going on."""
PANEL_ERASED = "\r\x1b[2K"
CURSOR_SHOWN = "\x1b[?25h"
TITLE = "make demo"
_CONTROL = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\r\n|\r|\n")
_FONTS = re.compile(r"\s*@font-face \{.*?\n    \}", re.DOTALL)


class Screen:
    """The lines of a terminal to which rich writes: it goes up whole lines, erases them and writes them anew."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._lines = [""]
        self._row = 0

    def feed(self, output: str) -> None:
        """Show what was written."""
        at = 0
        for control in _CONTROL.finditer(output):
            self._write(output[at : control.start()])
            self._control(control)
            at = control.end()
        self._write(output[at:])

    def shown(self) -> list[str]:
        """The last lines, with their colours."""
        return self._lines[-self._rows :]

    def _write(self, text: str) -> None:
        self._lines[self._row] += text

    def _control(self, control: re.Match[str]) -> None:
        numbers, letter = control[1], control[2]
        if letter is None:
            self._new_line(control[0])
        elif letter == "m":
            self._write(control[0])
        elif letter == "A":
            self._row = max(0, self._row - int(numbers or 1))
        elif letter == "K":
            self._lines[self._row] = ""

    def _new_line(self, text: str) -> None:
        if text == "\r":
            return
        self._row += 1
        if self._row == len(self._lines):
            self._lines.append("")


def demo_output() -> str:
    """What the real demo writes to a terminal, up to its summary."""
    leader, follower = os.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    command = [sys.executable, "-m", "leadscore.cli.main", "demo", "--seed", str(SEED), "--duration", str(DURATION_S)]
    environ = {**os.environ, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
    environ.pop("NO_COLOR", None)
    with subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environ) as demo:
        os.close(follower)
        pieces = []
        while piece := _read(leader):
            pieces.append(piece)
    os.close(leader)
    if demo.returncode:
        raise RuntimeError(f"the demo ended with {demo.returncode}:\n{b''.join(pieces).decode(errors='replace')}")
    return b"".join(pieces).decode(errors="replace").partition(CURSOR_SHOWN)[0]


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65_536)
    except OSError:  # Linux says so when the other side is closed
        return b""


def picture_of(lines: list[str]) -> str:
    """The lines of a terminal as an SVG, without fonts from elsewhere."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="standard")
        for line in lines:
            console.print(Text.from_ansi(line), soft_wrap=False, overflow="ellipsis", no_wrap=True, highlight=False)
        return _FONTS.sub("", console.export_svg(title=TITLE, unique_id="demo"))


def write() -> None:
    """Record the demo and draw it."""
    screen, output = Screen(ROWS), demo_output()
    screen.feed(output[: output.index(PANEL_ERASED, int(SHARE * len(output)))])
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture_of(screen.shown()), encoding="utf-8")


if __name__ == "__main__":
    write()
