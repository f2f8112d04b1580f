"""A person's order about a lead: made from options and appended to the command topic, for ``command`` and ``erase``."""

import argparse
import os
import time
from collections.abc import Sequence
from math import isfinite
from uuid import uuid4

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from leadscore.cli.kafka_session import KafkaSession
from leadscore.cli.options import instant
from leadscore.errors import ConfigError, Unavailable
from leadscore.events.event import COMMAND_PREFIX, Event
from leadscore.events.event_bytes import avro_bytes, json_bytes
from leadscore.events.validation import FieldProblem, Record, event_of
from leadscore.ops.config import Config, load_config
from leadscore.ops.kafka_properties import BOOTSTRAP_SERVERS
from leadscore.pipeline.kafka.questions import partition_count
from leadscore.scoring.crossing import iso_instant

DELIVERY_TIMEOUT_S = 30.0

_THEN = {
    "command.adjust": "The worker adds the points; a threshold may be crossed.",
    "command.reset": "The worker lets earlier events count no longer; thresholds and disqualification stay.",
    "command.retract": "The worker takes the event back, also if it arrives later.",
    "command.suspend": "The lead enters no threshold until a resume.",
    "command.resume": "The lead may enter thresholds again, with its next event.",
    "command.requalify": "The worker lifts what rules said before; what a condition says stays.",
    "command.merge": "What came and comes under this id counts as that lead's from now on. This cannot be taken back.",
    "command.erase": "The worker deletes the lead, under all its ids, without a crossing, and what occurred up to that "
    "time never brings it back; `leadscore explain` then shows a newcomer. The award log holds its records until their "
    "retention ends.",
}


def run(args: argparse.Namespace) -> int:
    """Append the command and wait until it is stored; ``ConfigError`` where it says something impossible."""
    config = load_config(os.environ, required=[BOOTSTRAP_SERVERS])
    event = command_of(args, config, time.time_ns() // 1_000_000)
    if args.order == "erase" and not args.yes:
        print(f"Erasing lead {event.lead_id} cannot be taken back. Nothing was sent. To do it, repeat with --yes.")
        return 1
    producer = KafkaSession(config).producer()
    partition_count(producer, config.command_topic)
    stored = _deliver(producer, config.command_topic, event)
    print(
        f"{event.type} {event.event_id} for lead {event.lead_id}, dated {iso_instant(event.occurred_at_ms)}: {stored}"
    )
    print(_THEN[event.type])
    return 0


def command_of(args: argparse.Namespace, config: Config, now_ms: int) -> Event:
    """The command that the options say; ``ConfigError`` naming the option and what was expected."""
    occurred_at_ms = now_ms if args.at is None else args.at
    if occurred_at_ms - now_ms > config.max_future_skew_ms:
        raise ConfigError(
            f"--at: {iso_instant(occurred_at_ms)}: expected at most {config.max_future_skew_ms} ms from now: the "
            "worker refuses what lies further ahead"
        )
    if args.points is not None and not isfinite(args.points):
        raise ConfigError(f"--points: {args.points}: expected a finite number")
    if args.into is not None and args.into == args.lead_id:
        raise ConfigError(f"--into: {args.into!r}: expected another id than LEAD")
    record: Record = {
        "type": COMMAND_PREFIX + args.order,
        "event_id": str(uuid4()) if args.id is None else args.id,
        "lead_id": args.lead_id,
        "occurred_at": occurred_at_ms,
        **{
            name: value
            for name in ("points", "reason", "target", "target_type", "into")
            if (value := getattr(args, name)) is not None
        },
    }
    try:
        return event_of(record, record)
    except FieldProblem as problem:
        option = {"lead_id": "LEAD", "event_id": "--id"}.get(problem.field, f"--{problem.field.replace('_', '-')}")
        raise ConfigError(f"{option}: {problem.value!r}: expected {problem.expected}") from problem


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add what every order has: the lead, the time, the id."""
    parser.add_argument("lead_id", metavar="LEAD", help="the id of the lead")
    parser.add_argument("--at", type=instant, metavar="TIME", help="when the order was given (default: now)")
    parser.add_argument(
        "--id", metavar="ID", help="the command's id (default: a new one); the same id again counts once"
    )


def _deliver(producer: Producer, topic: str, event: Event) -> str:
    """Append the command; where it was stored, in words. ``Unavailable`` unless the broker says that it is."""
    answers: list[tuple[KafkaError | None, Message]] = []
    value = avro_bytes(event) or json_bytes(event)
    try:
        producer.produce(topic, value, event.lead_id, on_delivery=lambda *answer: answers.append(answer))
        producer.flush(DELIVERY_TIMEOUT_S)
    except KafkaException as error:
        raise _not_stored(error.args[0].str(), event) from error
    return _stored(answers, event)


def _stored(answers: Sequence[tuple[KafkaError | None, Message]], event: Event) -> str:
    if not answers:
        raise _not_stored(f"no answer in {DELIVERY_TIMEOUT_S:g} s", event)
    error, message = answers[0]
    if error is not None:
        raise _not_stored(error.str(), event)
    return f"stored in {message.topic()}/{message.partition()} at offset {message.offset()}."


def _not_stored(why: str, event: Event) -> Unavailable:
    return Unavailable("kafka", "publish", f"{why}; to repeat it safely: --id {event.event_id}")
