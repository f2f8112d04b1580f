"""The records of a file as a mappings file maps them, for ``map``, ``check`` and ``simulate``."""

import os
import time
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from leadscore.cli.raw_records import RawRecord, RawRecords
from leadscore.errors import ConfigError, DeadLetter
from leadscore.events.decoder import Decoder
from leadscore.events.event import Event
from leadscore.events.times import EARLIEST_MS, MAX_FUTURE_SKEW_MS, TimeLimits
from leadscore.events.validation import LeaveOut, unnoticed
from leadscore.mapping.decoding import MappedTopics
from leadscore.mapping.load import load_mappings
from leadscore.mapping.topics import compile_mappings
from leadscore.ops.config import variable_of
from leadscore.ops.variables import read_variables


class Records(NamedTuple):
    """Where records come from: a file or ``-``; the topic they are of, unless they are lines of ``kcat -J``."""

    path: str
    topic: str | None
    is_kcat: bool = False
    timestamp_ms: int | None = None
    limits: TimeLimits = TimeLimits(EARLIEST_MS, MAX_FUTURE_SKEW_MS, 0)


class MappedRecord(NamedTuple):
    """What became of one record: its events, none if it is ignored; or why it is a dead letter."""

    where: str
    timestamp_ms: int | None
    events: list[Event]
    dead_letter: DeadLetter | None


def mapped_records(mappings_path: str, records: Records, leave_out: LeaveOut = unnoticed) -> Iterator[MappedRecord]:
    """Each record of the file, mapped; ``InputError`` if the file, the mappings or the topic are wrong."""
    mappings = load_mappings(mappings_path)
    is_of_line = records.is_kcat and records.topic is None
    topic = None if is_of_line else topic_of(mappings, records.topic)
    now_ms = int(time.time() * 1_000) if records.timestamp_ms is None else records.timestamp_ms
    raw = RawRecords(records.path, now_ms, is_kcat=records.is_kcat)
    topics = MappedTopics(compile_mappings(mappings, lead_id_key(), leave_out=leave_out), raw.lookup)
    limits = records.limits._replace(now_ms=max(now_ms, records.limits.now_ms))
    return mapped(raw, topics, limits, topic)


def mapped(
    raw: Iterable[RawRecord], topics: MappedTopics, limits: TimeLimits, topic: str | None
) -> Iterator[MappedRecord]:
    """Each record, mapped, as one of ``topic``, or else of the topic that it names; without a mapping, as our own."""
    decoder = Decoder()
    for record in raw:
        name = topic or record.topic
        if name is None:
            raise ConfigError(f"{record.where}: expected a topic, as in the lines of `kcat -J`")
        timestamp_ms = record.beside.timestamp_ms
        kafka_time_ms = -1 if timestamp_ms is None else timestamp_ms
        try:
            if name in topics.topics:
                check_time = partial(limits.check, kafka_time_ms=kafka_time_ms)
                events = topics.events(name, record.value, record.beside, check_time)
            else:
                events = [decoder.decode(name, record.value, record.beside.headers)]
                limits.check(events[0].occurred_at_ms, kafka_time_ms)
        except DeadLetter as dead_letter:
            yield MappedRecord(record.where, timestamp_ms, [], dead_letter)
        else:
            yield MappedRecord(record.where, timestamp_ms, events, None)


def lead_id_key() -> str | None:
    """The secret of ``keyed_hash``, as the worker has it."""
    name = variable_of("lead_id_key")
    problems: list[str] = []
    own = {variable: text for variable, text in os.environ.items() if variable in (name, f"{name}_FILE")}
    variables = read_variables(own, {name}, problems)
    if problems:
        raise ConfigError("\n".join(problems))
    return variables[name].text if name in variables else None


def topic_of(topics: Collection[str], topic: str | None) -> str:
    """The topic that ``--topic`` names, or the only one of the file; ``ConfigError`` if it is not of the file."""
    if topic is None and len(topics) == 1:
        return next(iter(topics))
    if topic is None or topic not in topics:
        problem = "missing" if topic is None else repr(topic)
        raise ConfigError(f"--topic: {problem}: expected one of the file's: {_listed(topics)}")
    return topic


def _listed(topics: Collection[str]) -> str:
    return ", ".join(sorted(topics))
