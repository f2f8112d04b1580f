"""``leadscore log``: records of the award log as JSON lines, by lead or by partition and offset."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Final

from confluent_kafka import Consumer, Message, TopicPartition

from leadscore.cli import accept_gap
from leadscore.cli.kafka_session import KafkaSession, check_log_partitions, records_between
from leadscore.cli.options import lead_id, number_from_0, number_from_1
from leadscore.errors import ConfigError, Unavailable
from leadscore.log.records import (
    ADJUST,
    ADJUST_RULE_ID,
    Award,
    Forward,
    Forwards,
    Frame,
    LogFormatError,
    Source,
    Tick,
    cause_of,
    decode,
    partition_of,
    stable_id,
)
from leadscore.model.compile import attribute_tests
from leadscore.model.definition import ModelDefinition
from leadscore.ops.config import Config, load_config
from leadscore.ops.kafka_properties import BOOTSTRAP_SERVERS
from leadscore.pipeline.kafka.questions import log_bounds, partition_count
from leadscore.pipeline.kafka.records import Bounds, Partition
from leadscore.pipeline.score.forwarding import kind_of
from leadscore.scoring.crossing import iso_instant


@dataclass(frozen=True, slots=True)
class Names:
    """What stands behind the ids of one model version."""

    rules: Mapping[int, str]
    attributes: Mapping[int, str]


NO_NAMES: Final = Names({ADJUST_RULE_ID: ADJUST}, {})
"""Of a version that the models topic does not have."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command, its options, and ``accept-gap``."""
    parser = subparsers.add_parser(
        "log",
        help="print the award log",
        description="Print the records of the award log as JSON lines, up to its end when the command started: all, "
        "one partition's, or those of one lead. Configured by the worker's LEADSCORE_... variables.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--lead", type=lead_id, metavar="ID", help="the awards of this lead alone")
    which.add_argument("--partition", type=number_from_0, metavar="N", help="the records of this partition alone")
    beginning = parser.add_mutually_exclusive_group()
    beginning.add_argument(
        "--from",
        type=number_from_0,
        dest="start",
        metavar="OFFSET",
        help="begin here (default: the oldest record held)",
    )
    beginning.add_argument(
        "--newest", type=number_from_1, metavar="N", help="begin this many offsets before the end of each partition"
    )
    parser.add_argument("--limit", type=number_from_1, metavar="N", help="at most this many lines (default: all)")
    parser.set_defaults(run=run)
    accept_gap.add_parser(parser.add_subparsers(metavar="[accept-gap]"))


def run(args: argparse.Namespace) -> int:
    """Print the records; ``InputError`` for wrong options, ``Unavailable`` without Kafka."""
    config = load_config(os.environ, required=[BOOTSTRAP_SERVERS])
    if args.start is not None and args.lead is None and args.partition is None:
        raise ConfigError(f"--from: {args.start}: offsets belong to a partition: expected --partition or --lead too")
    session = KafkaSession(config)
    with closing(session.consumer(f"{config.group}-tool")) as consumer:
        partitions = partition_count(consumer, config.log_topic)
        chosen = [(config.log_topic, number) for number in _chosen(args, config, partitions)]
        bounds = log_bounds(session.admin(), chosen)
        names = _names_by_version(session)
        lines = (
            line
            for partition in chosen
            for message in _records(consumer, partition, bounds[partition], _start(args, bounds[partition]))
            if (line := record_object(message, names, args.lead)) is not None
        )
        for line in islice(lines, args.limit):
            print(json.dumps(line))
    return 0


def record_object(message: Message, names: Mapping[int, Names], lead_id: str | None) -> dict[str, object] | None:
    """A log record as plain JSON values; with ``lead_id`` what it has of that lead, ``None`` where that is nothing."""
    where: dict[str, object] = {
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": iso_instant(message.timestamp()[1]),
    }
    try:
        record = decode(message.value() or b"")
    except LogFormatError as error:
        return {**where, "type": "unreadable", "problem": str(error)}
    if isinstance(record, Tick):
        return _tick_object(where, record, lead_id)
    if isinstance(record, Forwards):
        return _forwards_object(where, record, names, lead_id)
    awards = [award for award in record.awards if lead_id in (None, award.lead_id)]
    return {**where, **_frame_object(record, awards, names)} if awards else None


def _tick_object(where: dict[str, object], tick: Tick, lead_id: str | None) -> dict[str, object] | None:
    lead_ids = [due for due in tick.lead_ids if lead_id in (None, due)]
    if not lead_ids:
        return None
    return {**where, "type": "tick", "time": iso_instant(tick.time_ms), "lead_ids": lead_ids}


def _forwards_object(
    where: dict[str, object], record: Forwards, names: Mapping[int, Names], lead_id: str | None
) -> dict[str, object] | None:
    """What one log partition has sent on to this one, of a lead also under the aliases that it came by."""
    forwards = [
        forward
        for forward in record.forwards
        if lead_id in (None, forward.award.lead_id) or any(hop.alias == lead_id for hop in forward.hops)
    ]
    if not forwards:
        return None
    source, of_version = record.source, names.get(record.model_version, NO_NAMES)
    return {
        **where,
        "type": "forwards",
        "model_version": record.model_version,
        "from": {"topic": source.topic, "topic_id": source.topic_id, "partition": source.partition},
        "forwards": [_forward_object(forward, of_version) for forward in forwards],
    }


def _forward_object(forward: Forward, names: Names) -> dict[str, object]:
    absorbed = forward.absorbed
    return {
        "kind": kind_of(forward),
        "cause_offset": cause_of(forward.position),
        "position": forward.position,
        "hops": [{"alias": hop.alias, "edge": hop.edge} for hop in forward.hops],
        "absorbed": None if absorbed is None else {"lead_id": absorbed.lead_id, "state_bytes": len(absorbed.state)},
        **_earned(forward.award, names),
        "source": {"topic": forward.topic},
    }


def _frame_object(frame: Frame, awards: list[Award], names: Mapping[int, Names]) -> dict[str, object]:
    of_version = names.get(frame.model_version, NO_NAMES)
    return {
        "type": "frame",
        "model_version": frame.model_version,
        "awards": [_award_object(award, frame.sources[award.source], of_version) for award in awards],
    }


def _award_object(award: Award, source: Source, names: Names) -> dict[str, object]:
    """An award and where it comes from."""
    return {
        **_earned(award, names),
        "source": {
            "topic": source.topic,
            "topic_id": source.topic_id,
            "partition": source.partition,
            "offset": award.offset,
        },
    }


def _earned(award: Award, names: Names) -> dict[str, object]:
    """An award; the name of a rule or attribute is ``null`` where the version in the models topic does not tell."""
    return {
        "lead_id": award.lead_id,
        "event_id": award.event_id,
        "type": award.type,
        "occurred_at": iso_instant(award.occurred_at_ms),
        "campaign": award.campaign,
        "rules": [
            {"name": names.rules.get(rule.rule_id), "id": rule.rule_id, "points": rule.points} for rule in award.rules
        ],
        "attributes": [
            {"name": names.attributes.get(value.attribute_id), "id": value.attribute_id, "points": value.points}
            for value in award.attributes
        ],
        "target": award.target,
        "target_type": award.target_type,
        "into": award.into,
    }


def names_of(definition: ModelDefinition) -> Names:
    """The names behind the ids of a version."""
    attributes = [*definition.fit.attributes, *(test.name for test in attribute_tests(definition))]
    rules = {stable_id(name): name for name in definition.rules}
    return Names({**rules, ADJUST_RULE_ID: ADJUST}, {stable_id(name): name for name in attributes})


def _names_by_version(session: KafkaSession) -> dict[int, Names]:
    """The names of every version in the models topic; none where it cannot be read: the log is still worth printing."""
    try:
        models = session.models()
        return {version: names_of(models.definition(version)) for version in models.versions()}
    except (ConfigError, Unavailable) as error:
        sys.stderr.write(f"rules have no names below: {error}\n")
        return {}


def _chosen(args: argparse.Namespace, config: Config, partitions: int) -> list[int]:
    if args.lead is not None:
        check_log_partitions(config, partitions)
        return [partition_of(args.lead, partitions)]
    if args.partition is None:
        return list(range(partitions))
    if args.partition >= partitions:
        raise ConfigError(f"--partition: {args.partition}: expected one of the log's, 0 to {partitions - 1}")
    return [int(args.partition)]


def _start(args: argparse.Namespace, bounds: Bounds) -> int | None:
    """The offset to begin at; ``None``: the oldest."""
    if args.newest is None:
        return None if args.start is None else int(args.start)
    low, high = bounds
    return max(low, high - int(args.newest))


def _records(consumer: Consumer, partition: Partition, bounds: Bounds, start: int | None) -> Iterator[Message]:
    (topic, number), (low, high) = partition, bounds
    if start is not None and start < low:
        sys.stderr.write(f"partition {number}: the log holds offsets {low} to {high - 1}: beginning at {low}\n")
    if start is not None and start >= high:
        sys.stderr.write(f"partition {number}: the log ends before offset {high}: nothing from {start} on\n")
    return records_between(consumer, TopicPartition(topic, number, max(low, start or 0)), high)
