"""What the demo shows: live throughput, the hottest leads, each crossing with its reasons, and a summary that adds up.

Values in, lines out; it knows no broker and no store. ``LiveView`` prints crossings like any program and redraws a
small panel below them; ``PlainView`` prints lines only, for logs and pipes.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TextIO

import msgspec

from leadscore.scoring.crossing import Cause, Crossing, Direction

BAR_CELLS = 24
HOTTEST_SHOWN = 8
REASONS_SHOWN = 4
PLAIN_STATUS_INTERVAL_S = 2.0

_RESET = "\x1b[0m"
_STYLES = {"bold": "\x1b[1m", "dim": "\x1b[2m", "cold": "\x1b[36m", "warm": "\x1b[33m", "hot": "\x1b[31m"}
_STYLES |= {"enter": "\x1b[32m", "leave": "\x1b[35m"}
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_HIDE_CURSOR, _SHOW_CURSOR, _CLEAR_BELOW = "\x1b[?25l", "\x1b[?25h", "\x1b[J"


class HotLead(msgspec.Struct, frozen=True):
    """A lead, its score now, the band of the score (``cold``, ``warm``, ``hot``), and the thresholds it is in."""

    lead_id: str
    score: float
    band: str
    thresholds: tuple[str, ...] = ()


class DemoSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The demo at one instant: ``hottest`` best first, ``crossings`` newest first (older ones may be left out)."""

    elapsed_s: float
    produced: int
    applied: int
    events_per_s: float
    hottest: Sequence[HotLead] = ()
    crossings: Sequence[Crossing] = ()
    score_ceiling: float = 100.0


class DemoSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo did. ``events_produced`` is the sum of the four counts that follow it, and of ``waiting``.

    events_produced    records given to the input topics: events, commands, duplicates and garbage
    events_applied     events and commands that became part of a lead's score
    duplicates         events that came again and changed nothing
    ignored            events that match no rule and set no attribute of the model
    dead_letters       records that could not be decoded, kept in the dead-letter topic with the reason
    crossings          enters and leaves published: ``entered`` + ``left``
    leads              leads that have a state
    seconds            from the first record produced to the last one applied
    events_per_second  events_produced / seconds
    waiting            records the worker had not come to when the demo was stopped; 0 where it was not
    """

    events_produced: int
    events_applied: int
    duplicates: int
    ignored: int
    dead_letters: int
    crossings: int
    entered: int
    left: int
    leads: int
    seconds: float
    events_per_second: float
    waiting: int = 0

    @property
    def unaccounted(self) -> int:
        """Records produced of which nothing else is known; 0 when the summary adds up."""
        accounted = self.events_applied + self.duplicates + self.ignored + self.dead_letters + self.waiting
        return self.events_produced - accounted

    @property
    def adds_up(self) -> bool:
        """Whether every record produced and every crossing is accounted for."""
        return self.unaccounted == 0 and self.crossings == self.entered + self.left


class Style:
    """How text is drawn on one stream: with colours or without, with block characters or plain ASCII."""

    def __init__(self, *, colour: bool, unicode: bool) -> None:
        self._colour = colour
        self.full_cell, self.empty_cell = ("█", "░") if unicode else ("#", ".")
        self.enter_mark, self.leave_mark = ("▲", "▼") if unicode else ("+", "-")

    def paint(self, text: str, style: str) -> str:
        """The text in that style, or as it is where there are no colours or no such style."""
        start = _STYLES.get(style)
        return f"{start}{text}{_RESET}" if self._colour and start else text


class PlainView:
    """Lines for a log or a pipe: each crossing once, and the throughput every two seconds."""

    def __init__(self, stream: TextIO, style: Style) -> None:
        self._stream = stream
        self._style = style
        self._seen: set[str] = set()
        self._next_status_s = 0.0

    def update(self, snapshot: DemoSnapshot) -> None:
        """Print what is new."""
        lines = _new_crossing_lines(snapshot, self._seen, self._style)
        if snapshot.elapsed_s >= self._next_status_s:
            self._next_status_s = snapshot.elapsed_s + PLAIN_STATUS_INTERVAL_S
            lines.append(status_line(snapshot))
        self._print(lines)

    def close(self, lines: Iterable[str] = ()) -> None:
        """Print the last lines."""
        self._print(lines)

    def _print(self, lines: Iterable[str]) -> None:
        self._stream.writelines(f"{line}\n" for line in lines)
        self._stream.flush()


class LiveView:
    """A terminal: crossings scroll by, and below them a panel with throughput and the hottest leads is redrawn.

    Only the panel's own lines are ever overwritten, so what the terminal held before stays. ``close`` must be called
    at the end, also after an interrupt: it gives the cursor back. ``size`` tells the terminal's size now.
    """

    def __init__(self, stream: TextIO, style: Style, size: Callable[[], os.terminal_size]) -> None:
        self._stream = stream
        self._style = style
        self._size = size
        self._seen: set[str] = set()
        self._panel_rows = 0

    def update(self, snapshot: DemoSnapshot) -> None:
        """Print the new crossings and draw the panel again."""
        crossings = _new_crossing_lines(snapshot, self._seen, self._style)
        columns, rows = self._size()
        panel = ["", self._style.paint(status_line(snapshot), "bold"), *hottest_lines(snapshot, self._style)]
        # The cursor's own row comes below. What is higher than the terminal scrolls away, where nothing can be redrawn.
        panel = panel if rows > len(panel) else panel[1:rows]
        # A line as wide as the terminal wraps on some terminals; the panel's rows must be countable.
        panel = [cut(line, columns - 1) for line in panel]
        self._draw([*crossings, *panel], panel_rows=len(panel))

    def close(self, lines: Iterable[str] = ()) -> None:
        """Leave the panel as it is, show the cursor and print the last lines."""
        self._panel_rows = 0
        self._stream.write(_SHOW_CURSOR)
        self._stream.writelines(f"{line}\n" for line in lines)
        self._stream.flush()

    def _draw(self, lines: Sequence[str], *, panel_rows: int) -> None:
        up = f"\x1b[{self._panel_rows}A" if self._panel_rows else ""
        self._stream.write(f"{_HIDE_CURSOR}{up}\r{_CLEAR_BELOW}" + "".join(f"{line}\n" for line in lines))
        self._stream.flush()
        self._panel_rows = panel_rows


View = PlainView | LiveView


def choose_view(stream: TextIO, environ: Mapping[str, str], size: Callable[[], os.terminal_size]) -> View:
    """Live on a terminal, plain elsewhere and where ``TERM`` is ``dumb``; no colours where ``NO_COLOR`` is set."""
    live = stream.isatty() and environ.get("TERM") != "dumb"
    unicode = (stream.encoding or "").lower().replace("-", "").startswith("utf")
    style = Style(colour=live and not environ.get("NO_COLOR"), unicode=unicode)
    return LiveView(stream, style, size) if live else PlainView(stream, style)


def status_line(snapshot: DemoSnapshot) -> str:
    """Throughput in one line."""
    return (
        f"{snapshot.elapsed_s:5.1f} s   produced {snapshot.produced:,}   applied {snapshot.applied:,}"
        f"   {snapshot.events_per_s:,.0f} events/s"
    )


def hottest_lines(snapshot: DemoSnapshot, style: Style) -> list[str]:
    """The hottest leads, a bar each; always as many lines, so that a panel keeps its height."""
    lines = [_lead_line(lead, snapshot.score_ceiling, style) for lead in snapshot.hottest[:HOTTEST_SHOWN]]
    return lines + [""] * (HOTTEST_SHOWN - len(lines))


def crossing_lines(crossing: Crossing, style: Style) -> list[str]:
    """A crossing in two lines: what happened, and the points that explain it."""
    enters = crossing.direction is Direction.ENTER
    mark = style.enter_mark if enters else style.leave_mark
    verb = "entered" if enters else "left"
    head = style.paint(
        f"{mark} {short_id(crossing.lead_id)} {verb} {crossing.threshold}", "enter" if enters else "leave"
    )
    before = "" if crossing.previous_score == crossing.score else f" (was {crossing.previous_score:.1f})"
    reasons = ", ".join(f"{reason.name} {reason.points:+.1f}" for reason in crossing.reasons[:REASONS_SHOWN])
    lines = [f"{head}  score {crossing.score:.1f}{before}  {_cause_words(crossing)}"]
    return [*lines, "    " + style.paint(f"because {reasons}", "dim")] if reasons else lines


def next_commands(program: str = "leadscore") -> list[tuple[str, str]]:
    """What to try after the demo, and why; none of it needs the demo's servers. ``program`` as one types it."""
    return [
        (f"{program} init scoring", "a model, a mapping file and the worker's settings, to start from"),
        (f"{program} check --model scoring/model.yaml", "the scoring model in words"),
        (f"{program} produce --events 2000 --print > events.jsonl", "traffic like this, as a file"),
        (f"{program} simulate --model scoring/model.yaml --events events.jsonl", "score it, without any server"),
        (f"{program} run --help", "the worker, on your own Kafka and Redis"),
    ]


def summary_lines(summary: DemoSummary, commands: Sequence[tuple[str, str]]) -> list[str]:
    """The summary for people: the sums in full, then the commands to try next, each with its reason."""
    width = max((len(command) for command, _ in commands), default=0)
    parts = (
        f"{summary.events_applied:,} applied + {summary.duplicates:,} duplicates"
        f" + {summary.ignored:,} ignored + {summary.dead_letters:,} dead letters"
    )
    parts += f" + {summary.waiting:,} not worked yet" if summary.waiting else ""
    crossings = f"{summary.crossings:,} crossings = {summary.entered:,} entered + {summary.left:,} left"
    return [
        "",
        f"{summary.events_produced:,} events produced",
        f"  = {parts}{_shortfall(summary)}",
        f"{crossings}, of {summary.leads:,} leads",
        f"{summary.seconds:.1f} s, {summary.events_per_second:,.0f} events per second",
        "",
        *(["Next:"] if commands else []),
        *(f"  {command:<{width}}  {why}" for command, why in commands),
    ]


def summary_json(summary: DemoSummary) -> str:
    """The summary as one JSON object on one line."""
    return msgspec.json.encode(summary).decode()


def short_id(lead_id: str) -> str:
    """The first characters of an opaque id: enough to tell leads apart on a screen."""
    return lead_id[:8]


def cut(line: str, width: int) -> str:
    """The line's first ``width`` visible characters; escape sequences take no room and are kept."""
    kept, room = [], max(width, 0)
    for part in re.split(f"({_ESCAPES.pattern})", line):
        if _ESCAPES.fullmatch(part):
            kept.append(part)
        else:
            kept.append(part[:room])
            room -= len(kept[-1])
    return "".join(kept)


def _new_crossing_lines(snapshot: DemoSnapshot, seen: set[str], style: Style) -> list[str]:
    """The lines of the crossings not seen before, oldest first; they are seen now."""
    lines: list[str] = []
    for crossing in reversed(snapshot.crossings):
        if crossing.id not in seen:
            seen.add(crossing.id)
            lines += crossing_lines(crossing, style)
    return lines


def _lead_line(lead: HotLead, ceiling: float, style: Style) -> str:
    share = min(1.0, max(0.0, lead.score / ceiling)) if ceiling > 0 else 0.0
    full = round(share * BAR_CELLS)
    bar = style.paint(style.full_cell * full, lead.band) + style.empty_cell * (BAR_CELLS - full)
    return f"  {short_id(lead.lead_id)}  {bar} {lead.score:5.1f}  {lead.band:<4}  {' '.join(lead.thresholds)}".rstrip()


def _cause_words(crossing: Crossing) -> str:
    trigger = f" by {crossing.trigger.type}" if crossing.trigger else ""
    campaign = f", campaign {crossing.trigger.campaign}" if crossing.trigger and crossing.trigger.campaign else ""
    words = {
        Cause.EVENT: trigger.strip(),
        Cause.COMMAND: trigger.strip(),
        Cause.INSTANT: f"at once{trigger}",
        Cause.TIME: "by time alone",
        Cause.DISQUALIFIED: f"disqualified{trigger}",
    }
    return words[crossing.cause] + campaign


def _shortfall(summary: DemoSummary) -> str:
    return "" if summary.unaccounted == 0 else f"  ({summary.unaccounted:,} NOT ACCOUNTED FOR)"
