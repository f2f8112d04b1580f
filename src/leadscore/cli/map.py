"""``leadscore map``: what a mappings file makes of records, without a worker; presets to begin with."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator

from leadscore.cli.mapped_records import MappedRecord, Records, mapped_records
from leadscore.cli.newest_records import NEWEST, Newest, newest_records
from leadscore.cli.options import instant, number_up_to
from leadscore.errors import ConfigError
from leadscore.events.event_bytes import json_bytes
from leadscore.events.validation import LeaveOut
from leadscore.mapping.load import preset_names, preset_text
from leadscore.model.phrases import counted
from leadscore.ops.config import load_config
from leadscore.ops.kafka_properties import BOOTSTRAP_SERVERS

MOST_NEWEST = 100_000
_EVENTS, _IGNORED, _DEAD = "gave events", "ignored", "dead letters"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "map",
        help="try a mappings file on records of a topic; print a preset",
        description="Print the events that a mappings file makes of records, one a line, as leadscore's own JSON; what "
        "is ignored, and what would be a dead letter and why, goes to standard error, and a summary after it. Exit 1 "
        "if anything would be a dead letter.",
    )
    parser.add_argument("records", nargs="?", metavar="RECORDS", help="JSON lines or an Avro container file; -: stdin")
    parser.add_argument("--mappings", metavar="FILE", help="the mappings file (--from-kafka: or LEADSCORE_MAPPINGS)")
    parser.add_argument("--topic", metavar="NAME", help="the topic the records are of, where several are mapped")
    parser.add_argument(
        "--kcat", action="store_true", help="the lines are as `kcat -J` writes them, with key and headers"
    )
    parser.add_argument(
        "--received-at", type=instant, metavar="TIME", help="stands for the Kafka timestamp (default: now)"
    )
    parser.add_argument(
        "--from-kafka",
        action="store_true",
        help="the newest records of the topic in Kafka, by the worker's LEADSCORE_... variables; nothing is committed",
    )
    parser.add_argument("--newest", type=number_up_to(MOST_NEWEST), metavar="N", help=f"this many (default: {NEWEST})")
    parser.add_argument("--print-preset", choices=preset_names(), metavar="NAME", help=f"{', '.join(preset_names())}")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a preset, or what becomes of each record; 1 if one would be a dead letter."""
    if args.print_preset is not None:
        print(preset_text(args.print_preset), end="")
        return 0
    if args.from_kafka:
        if args.records is not None or args.kcat or args.received_at is not None:
            raise ConfigError("--from-kafka: expected it without RECORDS, --kcat and --received-at")
        config = load_config(os.environ, required=[BOOTSTRAP_SERVERS])
        newest = Newest(args.topic, args.newest or NEWEST)
        return _try(lambda leave_out: newest_records(config, args.mappings or config.mappings, newest, leave_out))
    if args.newest is not None:
        raise ConfigError("--newest: expected it with --from-kafka")
    if args.mappings is None or args.records is None:
        raise ConfigError("leadscore map: expected --mappings FILE and RECORDS or --from-kafka, or --print-preset NAME")
    return try_mappings(args.mappings, Records(args.records, args.topic, args.kcat, args.received_at))


def try_mappings(mappings: str, records: Records) -> int:
    """Print what the mappings make of the records, and a summary."""
    return _try(lambda leave_out: mapped_records(mappings, records, leave_out))


def _try(read: Callable[[LeaveOut], Iterator[MappedRecord]]) -> int:
    outcomes: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for record in read(lambda kind: left_out.update([kind])):
        outcomes[_print(record)] += 1
        if record.dead_letter is not None:
            reasons[record.dead_letter.reason.value] += 1
    print(_summary(outcomes, reasons, left_out), file=sys.stderr)
    return 1 if outcomes[_DEAD] else 0


def _print(record: MappedRecord) -> str:
    for event in record.events:
        print(json_bytes(event).decode())
    if record.dead_letter is not None:
        print(f"{record.where}: {record.dead_letter}", file=sys.stderr)
        return _DEAD
    if not record.events:
        print(f"{record.where}: ignored", file=sys.stderr)
        return _IGNORED
    return _EVENTS


def _summary(outcomes: Counter[str], reasons: Counter[str], left_out: Counter[str]) -> str:
    total = outcomes.total()
    shares = [f"{outcomes[name]} {name} ({_percent(outcomes[name], total)})" for name in (_EVENTS, _IGNORED, _DEAD)]
    parts = [f"{counted(total, 'record')}: {', '.join(shares)}"]
    parts += [f"  {number} x {reason}" for reason, number in reasons.most_common()]
    parts += [f"  fields left out: {number} x {kind}" for kind, number in left_out.most_common()]
    return "\n".join(parts)


def _percent(part: int, total: int) -> str:
    return f"{100 * part / total:.0f} %" if total else "0 %"
