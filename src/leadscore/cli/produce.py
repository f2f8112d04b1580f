"""``leadscore produce``: made-up traffic, or the events of a file, to any broker."""

import argparse
import math
import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import TextIO

from leadscore.cli.options import instant, number_from_0, number_up_to
from leadscore.demo.sender import Sender
from leadscore.demo.traffic import GeneratedEvent, TrafficPlan, generate, topic_role_of
from leadscore.errors import ConfigError, InputError
from leadscore.events.event import Event
from leadscore.events.event_bytes import json_bytes
from leadscore.events.json_lines import Line, read_lines
from leadscore.ops.config import load_config
from leadscore.ops.kafka_properties import BOOTSTRAP_SERVERS
from leadscore.time_units import DAY_MS

DEFAULT_LEADS = 300
DEFAULT_DAYS = 30
DEFAULT_DUPLICATES = 0.01
MOST_EVENTS, MOST_LEADS, MOST_DAYS = 10_000_000, 1_000_000, 3_650
"""All of the traffic is made, in memory, before the first record is sent."""

_GENERATOR_OPTIONS = ("events", "leads", "days", "seed", "until", "duplicates", "garbage")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "produce",
        help="send made-up traffic, or the events of a file, to a broker",
        description="Send made-up traffic of buyers, newsletter readers, job seekers, bots and dormant leads, or the "
        f"events of a file, to the input topics. {BOOTSTRAP_SERVERS} names the broker.",
    )
    parser.set_defaults(run=run)
    made_up = parser.add_argument_group("made-up traffic")
    for option, kind, metavar, meaning in (
        (
            "--events",
            number_up_to(MOST_EVENTS),
            "N",
            "this many records in all (default: as many as the leads' stories have)",
        ),
        (
            "--leads",
            number_up_to(MOST_LEADS),
            "N",
            f"this many leads (default: as many as --events needs, or {DEFAULT_LEADS})",
        ),
        ("--days", number_up_to(MOST_DAYS), "N", f"length of the history in days (default: {DEFAULT_DAYS})"),
        ("--until", instant, "TIME", "end of the history, ISO 8601 with an offset or Z (default: now)"),
        ("--seed", number_from_0, "N", "same seed, numbers and --until: same records (default: drawn, and said)"),
        ("--duplicates", _share, "SHARE", f"share of records that come again (default: {DEFAULT_DUPLICATES})"),
        ("--garbage", _share, "SHARE", "share of records that nothing can decode (default: 0)"),
    ):
        made_up.add_argument(option, type=kind, metavar=metavar, help=meaning)
    _add_sending_options(parser)


def _add_sending_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", type=Path, help="send the events of this file of JSON lines instead")
    parser.add_argument(
        "--rate", type=_rate, default=0.0, metavar="N", help="records per second (default: 0, as fast as possible)"
    )
    parser.add_argument(
        "--format",
        choices=("avro", "json"),
        default="avro",
        help="encoding of the values (default: avro; what our schemas cannot hold goes as JSON)",
    )
    parser.add_argument("--print", action="store_true", help="write JSON lines to standard output; needs no broker")


def run(args: argparse.Namespace) -> int:
    """Run the command. 1 where no broker answers or a record was not delivered; ``InputError`` for what is wrong."""
    _check_combination(args)
    records = file_records(args.file) if args.file is not None else generated_records(args, sys.stderr)
    if args.print:
        print_events(records, sys.stdout)
        return 0
    config = load_config(os.environ, required=[BOOTSTRAP_SERVERS])
    sender = Sender(config, args.format)
    sender.check_topics()
    sender.send(records, args.rate, time.monotonic)
    return sender.report(sys.stdout, sys.stderr)


def generated_records(args: argparse.Namespace, notes: TextIO) -> Iterator[GeneratedEvent]:
    """The traffic that the options ask for; the seed, where it is drawn, goes to ``notes``."""
    seed = args.seed
    if seed is None:
        seed = secrets.randbelow(1_000_000_000)
        notes.write(f"seed {seed}\n")
    return generate(Random(seed), traffic_plan(args))


def traffic_plan(args: argparse.Namespace) -> TrafficPlan:
    """The plan that the options ask for."""
    end_ms = args.until if args.until is not None else time.time_ns() // 1_000_000
    neither = args.leads is None and args.events is None
    return TrafficPlan(
        start_ms=end_ms - (args.days or DEFAULT_DAYS) * DAY_MS,
        end_ms=end_ms,
        leads=DEFAULT_LEADS if neither else args.leads,
        events=args.events,
        duplicates=DEFAULT_DUPLICATES if args.duplicates is None else args.duplicates,
        garbage=args.garbage or 0.0,
    )


def file_records(path: Path) -> Iterator[GeneratedEvent]:
    """The events of a file of JSON lines, in its order. All of it is read first, so that a bad line sends nothing."""
    try:
        with path.open("rb") as lines:
            return iter([_file_record(line) for line in read_lines(lines, str(path))])
    except OSError as error:
        raise InputError(f"--file: {str(path)!r}: {error.strerror}: expected a file of JSON lines") from error


def print_events(records: Iterable[GeneratedEvent], stream: TextIO) -> None:
    """Write the events as JSON lines, as ``leadscore simulate`` reads them; what is no event is left out."""
    for record in records:
        if isinstance(record.content, Event):
            stream.write(json_bytes(record.content).decode() + "\n")


def _file_record(line: Line) -> GeneratedEvent:
    timestamp_ms = line.event.occurred_at_ms if line.received_at_ms is None else line.received_at_ms
    return GeneratedEvent(topic_role_of(line.event.type), timestamp_ms, line.event)


def _check_combination(args: argparse.Namespace) -> None:
    """``ConfigError`` where an option has no meaning beside another."""
    options = [option for option in _GENERATOR_OPTIONS if getattr(args, option) is not None]
    if args.file is not None and options:
        raise ConfigError(f"--{options[0]}: it is for made-up traffic: expected it without --file")
    if args.print and args.garbage:
        raise ConfigError("--garbage: garbage is no JSON line: expected it without --print")


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value < 0.5:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 0 to below 0.5")
    return value


def _rate(text: str) -> float:
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of records per second, or 0")
    return value


def _number(text: str) -> float:
    """The number, or NaN, which is in no range."""
    try:
        return float(text)
    except ValueError:
        return math.nan
