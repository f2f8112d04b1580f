"""What the demo shows: live throughput, the hottest leads, each crossing with its reasons, and a summary that adds up.

Values in, lines out; it knows no broker and no store. rich draws: ``LiveView`` prints crossings like any program and
keeps a small panel below them up to date; ``PlainView`` prints lines only, for logs and pipes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from leadscore.scoring.crossing import Cause, Crossing, Direction

BAR_CELLS = 24
HOTTEST_SHOWN = 8
REASONS_SHOWN = 4
PLAIN_STATUS_INTERVAL_S = 2.0

_STYLES = {"cold": "cyan", "warm": "yellow", "hot": "red", Direction.ENTER: "green", Direction.LEAVE: "magenta"}
"""How bands and directions are coloured."""


class HotLead(msgspec.Struct, frozen=True):
    """A lead, its main score now, the band of that (``cold``, ``warm``, ``hot``), and the thresholds it is in.

    ``others`` are the scores beside the main one, by name.
    """

    lead_id: str
    score: float
    band: str
    thresholds: tuple[str, ...] = ()
    others: dict[str, float] = {}


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

    events_produced    records sent to the input topics: events, commands, duplicates and garbage
    events_applied     events and commands that became part of a lead's score
    duplicates         events that came again and changed nothing
    ignored            events that match no rule and set no attribute of the model
    dead_letters       records that could not be decoded, kept in the dead-letter topic with the reason
    crossings          enters and leaves published: ``entered`` + ``left``
    leads              leads that have a state; the ids of one person are one
    became_known       visitors that were merged into a lead with a name
    said               what sales said of those that had entered the main score's first threshold, by outcome
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
    became_known: int
    said: dict[str, int]
    seconds: float
    events_per_second: float
    waiting: int = 0

    @property
    def unaccounted(self) -> int:
        """Records produced of which nothing is counted; 0 when the summary adds up."""
        accounted = self.events_applied + self.duplicates + self.ignored + self.dead_letters + self.waiting
        return self.events_produced - accounted

    @property
    def adds_up(self) -> bool:
        """Whether every record produced and every crossing is accounted for."""
        return self.unaccounted == 0 and self.crossings == self.entered + self.left


@dataclass(frozen=True, slots=True)
class Marks:
    """The characters that a stream can show: what bars are made of, and what stands before a crossing."""

    full_cell: str
    empty_cell: str
    enter: str
    leave: str


BLOCKS = Marks("█", "░", "▲", "▼")
ASCII = Marks("#", ".", "+", "-")


class PlainView:
    """Lines for a log or a pipe: each crossing once, and the throughput every two seconds."""

    def __init__(self, console: Console, marks: Marks) -> None:
        self._console = console
        self._marks = marks
        self._seen: set[str] = set()
        self._next_status_s = 0.0

    def update(self, snapshot: DemoSnapshot) -> None:
        """Print what is new."""
        _print(self._console, _new_crossings(snapshot, self._seen, self._marks))
        if snapshot.elapsed_s >= self._next_status_s:
            self._next_status_s = snapshot.elapsed_s + PLAIN_STATUS_INTERVAL_S
            _print(self._console, [Text(status_line(snapshot))])

    def close(self, lines: Iterable[str] = ()) -> None:
        """Print the last lines."""
        _print(self._console, map(Text, lines))


class LiveView:
    """A terminal: crossings scroll by, and below them is a panel with the throughput and the hottest leads.

    Only the panel's own lines are ever overwritten, so what the terminal held before stays. ``close`` must be called
    at the end, also after an interrupt: it gives the cursor back.
    """

    def __init__(self, console: Console, marks: Marks) -> None:
        self._console = console
        self._marks = marks
        self._seen: set[str] = set()
        self._live = Live(
            console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False, vertical_overflow="crop"
        )

    def update(self, snapshot: DemoSnapshot) -> None:
        """Print the new crossings and draw the panel again."""
        self._live.start()
        _print(self._console, _new_crossings(snapshot, self._seen, self._marks))
        lines = [Text(status_line(snapshot), "bold"), *hottest_lines(snapshot, self._marks)]
        for line in lines:
            line.no_wrap, line.overflow = True, "crop"
        room = self._console.height - len(lines)
        self._live.update(Group(*([Text()] if room > 0 else []), *lines), refresh=True)

    def close(self, lines: Iterable[str] = ()) -> None:
        """Leave the panel as it is, show the cursor and print the last lines."""
        self._live.stop()
        _print(self._console, map(Text, lines))


View = PlainView | LiveView


def choose_view(stream: TextIO, environ: Mapping[str, str], size: tuple[int, int] | None = None) -> View:
    """Live on a terminal, plain elsewhere and where ``TERM`` is ``dumb``; no colours where ``NO_COLOR`` is set.

    ``size`` is columns and rows; without it the terminal is asked, each time something is drawn.
    """
    live = stream.isatty() and environ.get("TERM") not in {"dumb", "unknown"}
    unicode = (stream.encoding or "").lower().replace("-", "").startswith("utf")
    columns, rows = size or (None, None)
    console = Console(
        file=stream,
        force_terminal=live,
        color_system="standard" if live and not environ.get("NO_COLOR") else None,
        width=columns,
        height=rows,
        highlight=False,
    )
    marks = BLOCKS if unicode else ASCII
    return LiveView(console, marks) if live else PlainView(console, marks)


def status_line(snapshot: DemoSnapshot) -> str:
    """Throughput in one line."""
    return (
        f"{snapshot.elapsed_s:5.1f} s   produced {snapshot.produced:,}   applied {snapshot.applied:,}"
        f"   {snapshot.events_per_s:,.0f} events/s"
    )


def hottest_lines(snapshot: DemoSnapshot, marks: Marks) -> list[Text]:
    """The hottest leads, a bar each; always as many lines, so that a panel keeps its height."""
    lines = [_lead_line(lead, snapshot.score_ceiling, marks) for lead in snapshot.hottest[:HOTTEST_SHOWN]]
    return lines + [Text() for _ in range(HOTTEST_SHOWN - len(lines))]


def crossing_lines(crossing: Crossing, marks: Marks) -> list[Text]:
    """A crossing in two lines: what happened, and the points that explain it."""
    mark, verb = (marks.enter, "entered") if crossing.direction is Direction.ENTER else (marks.leave, "left")
    head = Text(f"{mark} {short_id(crossing.lead_id)} {verb} {crossing.threshold}", _STYLES[crossing.direction])
    before = "" if crossing.previous_score == crossing.score else f" (was {crossing.previous_score:.1f})"
    of = "score" if crossing.score_name is None else f"{crossing.score_name} score"
    what = Text.assemble(head, f"  {of} {crossing.score:.1f}{before}  {_cause_words(crossing)}")
    reasons = ", ".join(f"{reason.name} {reason.points:+.1f}" for reason in crossing.reasons[:REASONS_SHOWN])
    return [what, Text.assemble("    ", (f"because {reasons}", "dim"))] if reasons else [what]


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
        f"{summary.became_known:,} visitors became known; {_said(summary)}",
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


def _print(console: Console, lines: Iterable[Text]) -> None:
    """Line by line, and what is too long is the terminal's to wrap."""
    for line in lines:
        console.print(line, soft_wrap=True)


def _new_crossings(snapshot: DemoSnapshot, seen: set[str], marks: Marks) -> list[Text]:
    """The lines of the crossings not seen before, oldest first; they are seen now."""
    lines: list[Text] = []
    for crossing in reversed(snapshot.crossings):
        if crossing.id not in seen:
            seen.add(crossing.id)
            lines += crossing_lines(crossing, marks)
    return lines


def _lead_line(lead: HotLead, ceiling: float, marks: Marks) -> Text:
    share = min(1.0, max(0.0, lead.score / ceiling)) if ceiling > 0 else 0.0
    full = round(share * BAR_CELLS)
    bar = Text.assemble((marks.full_cell * full, _STYLES.get(lead.band, "")), marks.empty_cell * (BAR_CELLS - full))
    line = Text.assemble(f"  {short_id(lead.lead_id)}  ", bar, f" {lead.score:5.1f}  {lead.band:<4}  ")
    line.append("".join(f"{name} {score:5.1f}  " for name, score in lead.others.items()))
    line.append(" ".join(lead.thresholds)).rstrip()
    return line


def _cause_words(crossing: Crossing) -> str:
    trigger = f" by {crossing.trigger.type}" if crossing.trigger else ""
    campaign = f", campaign {crossing.trigger.campaign}" if crossing.trigger and crossing.trigger.campaign else ""
    words = {
        Cause.EVENT: trigger.strip(),
        Cause.COMMAND: trigger.strip(),
        Cause.INSTANT: f"at once{trigger}",
        Cause.TIME: "by time alone",
        Cause.DISQUALIFIED: f"disqualified{trigger}",
        Cause.RECYCLED: f"given back{trigger}",
        Cause.MERGED: "the visitor became known"
        if crossing.merged_with is None
        else f"merged with {short_id(crossing.merged_with)}",
    }
    return words[crossing.cause] + campaign


def _said(summary: DemoSummary) -> str:
    said = ", ".join(f"{outcome} {number:,}" for outcome, number in summary.said.items() if number)
    return f"of those that entered, sales said: {said or 'nothing'}"


def _shortfall(summary: DemoSummary) -> str:
    return "" if summary.unaccounted == 0 else f"  ({summary.unaccounted:,} NOT ACCOUNTED FOR)"
