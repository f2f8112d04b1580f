"""The live view of ``leadscore top``, drawn by rich on the terminal's other screen: what was there comes back."""

from collections.abc import Iterator

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from leadscore.cli.watching.view import Snapshot, lines_of

_STYLES = (("Stopped", "bold red"), ("note:", "yellow"), ("leadscore", "dim"))


def draw(snapshots: Iterator[Snapshot], console: Console | None = None) -> Snapshot | None:
    """Draw one snapshot after another until Ctrl-C; the last one."""
    last = None
    waiting = Text("asking the workers ...", "dim")
    with Live(waiting, console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        try:
            for last in snapshots:
                live.update(Group(*map(_styled, lines_of(last))), refresh=True)
        except KeyboardInterrupt:
            pass  # this is how it ends
    return last


def _styled(line: str) -> Text:
    style = next((style for start, style in _STYLES if line.startswith(start)), "" if line.startswith(" ") else "bold")
    return Text(line, style, no_wrap=True, overflow="ellipsis")
