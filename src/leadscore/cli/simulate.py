"""``leadscore simulate``: a model run over a file of events, without a server (design 1.11)."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO, TextIO

from leadscore.cli.options import duration, instant
from leadscore.errors import EventsFileError
from leadscore.events.event import Event
from leadscore.events.json_lines import Line, read_lines
from leadscore.model.load import load_model
from leadscore.scoring.crossing import as_json_object, iso_instant
from leadscore.scoring.simulation import LeadScore, simulate

MAX_FUTURE_SKEW_MS = 300_000


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "simulate",
        help="run a model over a file of events; needs no server",
        description="Run a model over events, JSON lines in the order of the log, and print each crossing as a JSON "
        "line; with --scores-at then the score of each lead. The log's time is the latest received_at, else "
        "occurred_at, so far.",
    )
    parser.add_argument("--model", type=Path, required=True, metavar="FILE", help="the model file")
    parser.add_argument("--events", required=True, metavar="FILE", help="the events, one a line; -: standard input")
    parser.add_argument(
        "--scores-at",
        type=instant,
        metavar="TIME",
        help="let time go on to TIME (ISO 8601 or milliseconds) and print every lead's score then",
    )
    parser.add_argument(
        "--max-future-skew",
        type=duration,
        default=MAX_FUTURE_SKEW_MS,
        metavar="DURATION",
        help="leave out lines whose occurred_at is further ahead of their received_at (default: 5m)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print crossings and scores; ``InputError`` for a wrong model or line, and then nothing is printed."""
    definition = load_model(args.model).definition
    with _opened(args.events) as source:
        name = "standard input" if args.events == "-" else args.events
        entries = log_entries(_lines(source, name), name, args.max_future_skew, sys.stderr)
        noted = _noted_if_over(entries, args.scores_at, sys.stderr)
        simulation = simulate(definition, noted, args.scores_at)
    for crossing in simulation.crossings:
        print(json.dumps(as_json_object(crossing)))
    for score in simulation.scores:
        print(json.dumps(score_object(score)))
    return 0


def log_entries(
    lines: Iterable[Line], name: str, max_future_skew_ms: int, notes: TextIO
) -> Iterator[tuple[Event, int]]:
    """Each line's event and log time (ms). Lines too far ahead of their ``received_at`` go to ``notes`` instead."""
    for line in lines:
        log_time_ms = line.event.occurred_at_ms if line.received_at_ms is None else line.received_at_ms
        ahead_ms = line.event.occurred_at_ms - log_time_ms
        if ahead_ms > max_future_skew_ms:
            notes.write(
                f"{name}:{line.number}: left out: occurred_at: {iso_instant(line.event.occurred_at_ms)}: "
                f"{ahead_ms} ms ahead of received_at: expected at most {max_future_skew_ms} ms\n"
            )
        else:
            yield line.event, log_time_ms


def _noted_if_over(
    entries: Iterable[tuple[Event, int]], scores_at_ms: int | None, notes: TextIO
) -> Iterator[tuple[Event, int]]:
    """The entries; a note after the last if time is then past the instant of the scores: it does not go back."""
    latest_ms = None
    for event, log_time_ms in entries:
        latest_ms = log_time_ms if latest_ms is None else max(latest_ms, log_time_ms)
        yield event, log_time_ms
    if scores_at_ms is not None and latest_ms is not None and scores_at_ms < latest_ms:
        notes.write(
            f"--scores-at: {iso_instant(scores_at_ms)}: the events go on until {iso_instant(latest_ms)}: thresholds are"
            " those then, leads with later events are scored as of their latest: expected a later time or fewer "
            "events\n"
        )


def score_object(score: LeadScore) -> dict[str, object]:
    """A lead's line: the names of design 1.11."""
    return {
        "lead_id": score.lead_id,
        "score": score.score,
        "engagement": score.engagement,
        "fit": score.fit,
        "grade": score.grade,
        "band": score.band,
        "disqualified": score.disqualified,
        "thresholds": score.thresholds,
        "as_of": iso_instant(score.as_of_ms),
    }


def _opened(path: str) -> "BinaryIO | nullcontext[BinaryIO]":
    if path == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise EventsFileError(f"{path}: cannot be read: {error.strerror}: expected a file of JSON lines") from error


def _lines(source: BinaryIO, name: str) -> Iterator[Line]:
    try:
        yield from read_lines(source, name)
    except OSError as error:
        raise EventsFileError(f"{name}: cannot be read: {error.strerror}: expected a file of JSON lines") from error
