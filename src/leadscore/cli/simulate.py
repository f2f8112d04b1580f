"""``leadscore simulate``: a model run over a file of events, without a server (design 1.11)."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, TextIO

from leadscore.cli.mapped_records import Records, mapped_records
from leadscore.cli.options import duration, instant
from leadscore.errors import ConfigError, EventsFileError
from leadscore.events.event import Event
from leadscore.events.json_lines import Line, read_lines
from leadscore.events.times import EARLIEST_MS, MAX_FUTURE_SKEW_MS, TimeLimits, too_early
from leadscore.model.load import load_model
from leadscore.scoring.crossing import as_json_object, iso_instant
from leadscore.scoring.simulation import LeadScore, simulate


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
    parser.add_argument(
        "--earliest",
        type=instant,
        default=EARLIEST_MS,
        metavar="TIME",
        help="leave out lines that occurred before (default: 2000-01-01T00:00:00Z)",
    )
    parser.add_argument("--mappings", metavar="FILE", help="the file holds raw records, which these mappings map")
    parser.add_argument("--topic", metavar="NAME", help="with --mappings: the topic the records are of")
    parser.add_argument("--kcat", action="store_true", help="with --mappings: the lines are as `kcat -J` writes them")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print crossings and scores; ``InputError`` for a wrong model or line, and then nothing is printed."""
    definition = load_model(args.model).definition
    with _entries(args, sys.stderr) as entries:
        noted = _noted(entries, args, sys.stderr)
        simulation = simulate(definition, noted, args.scores_at)
    for crossing in simulation.crossings:
        print(json.dumps(as_json_object(crossing)))
    for score in simulation.scores:
        print(json.dumps(score_object(score)))
    return 0


@contextmanager
def _entries(args: argparse.Namespace, notes: TextIO) -> Iterator[Iterable[tuple[Event, int]]]:
    limits = TimeLimits(args.earliest, args.max_future_skew, 0)
    if args.mappings is not None:
        yield _mapped_entries(args.mappings, Records(args.events, args.topic, args.kcat, None, limits), notes)
    elif args.topic is not None or args.kcat:
        raise ConfigError("--topic, --kcat: expected them with --mappings")
    else:
        with _opened(args.events) as source:
            name = "standard input" if args.events == "-" else args.events
            yield log_entries(_lines(source, name), name, limits, notes)


def _mapped_entries(mappings: str, records: Records, notes: TextIO) -> Iterator[tuple[Event, int]]:
    """Each event of the records, its log time that of the record's Kafka timestamp where the file has it."""
    for record in mapped_records(mappings, records):
        if record.dead_letter is not None:
            notes.write(f"{record.where}: left out: {record.dead_letter}\n")
        for event in record.events:
            received_at_ms = record.timestamp_ms if records.is_kcat else None
            yield event, event.occurred_at_ms if received_at_ms is None else received_at_ms


def log_entries(lines: Iterable[Line], name: str, limits: TimeLimits, notes: TextIO) -> Iterator[tuple[Event, int]]:
    """Each line's event and log time (ms). Lines outside the limits go to ``notes`` instead."""
    for line in lines:
        occurred_at_ms = line.event.occurred_at_ms
        log_time_ms = occurred_at_ms if line.received_at_ms is None else line.received_at_ms
        ahead_ms = occurred_at_ms - log_time_ms
        if ahead_ms > limits.max_ahead_ms:
            notes.write(
                f"{name}:{line.number}: left out: occurred_at: {iso_instant(occurred_at_ms)}: "
                f"{ahead_ms} ms ahead of received_at: expected at most {limits.max_ahead_ms} ms\n"
            )
        elif occurred_at_ms < limits.earliest_ms:
            problem = too_early(occurred_at_ms, limits.earliest_ms).detail
            notes.write(f"{name}:{line.number}: left out: {iso_instant(occurred_at_ms)}: {problem}\n")
        else:
            yield line.event, log_time_ms


def _noted(
    entries: Iterable[tuple[Event, int]], args: argparse.Namespace, notes: TextIO
) -> Iterator[tuple[Event, int]]:
    """The entries; a note after the last if there was none, or if time is past the instant of the scores."""
    latest_ms, scores_at_ms = None, args.scores_at
    for event, log_time_ms in entries:
        latest_ms = log_time_ms if latest_ms is None else max(latest_ms, log_time_ms)
        yield event, log_time_ms
    if latest_ms is None:
        notes.write(f"--events: {args.events}: no event to score\n")
    elif scores_at_ms is not None and scores_at_ms < latest_ms:
        notes.write(
            f"--scores-at: {iso_instant(scores_at_ms)}: the events go on until {iso_instant(latest_ms)}: thresholds are"
            " those then, leads with later events are scored as of their latest: expected a later time or fewer "
            "events\n"
        )


def score_object(score: LeadScore) -> dict[str, object]:
    """A lead's line: the names of design 1.11; ``scores`` are those beside the main one, if the model has any."""
    line: dict[str, object] = {
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
    if score.others:
        line["scores"] = {
            name: {"score": other.score, "engagement": other.engagement} for name, other in score.others.items()
        }
    return line


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
