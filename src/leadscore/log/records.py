"""What the award log carries: frames of awards, ticks and forwards (design 2.2-2.5, 2.9). Bytes in, values out; pure.

A record's value is one format byte and MessagePack. Fields are positional; new ones are only ever appended, with a
default, so that old records stay readable. Format 2 is format 1 with merges: a worker that knows only the first must
stop at them, for it would skip a merge in silence.
"""

import zlib
from typing import Final

import msgspec

from leadscore.errors import LeadscoreError

FORMAT: Final = 2
READABLE_FORMATS: Final = (b"\x01", b"\x02")
MAX_FRAME_AWARDS: Final = 1_000
MAX_FRAME_BYTES: Final = 256 * 1024

ADJUST: Final = "command.adjust"
RETRACT: Final = "command.retract"
RESET: Final = "command.reset"
SUSPEND: Final = "command.suspend"
RESUME: Final = "command.resume"
REQUALIFY: Final = "command.requalify"
ERASE: Final = "command.erase"
MERGE: Final = "command.merge"
COMMANDS: Final = frozenset({ADJUST, RETRACT, RESET, SUSPEND, RESUME, REQUALIFY, ERASE, MERGE})

NO_EPOCH: Final = -1
"""Of a record of which the broker does not say under which leader it was written."""

FORWARDS_PER_CAUSE: Final = 1 << 20
"""More than the largest frame can bring about: what is forwarded of one log record is numbered below this."""


def stable_id(name: str) -> int:
    """What stands for a rule, condition, attribute, threshold or test in the log and the state: CRC32 of its name."""
    return zlib.crc32(name.encode())


ADJUST_RULE_ID: Final = stable_id("command.adjust")


class Source(msgspec.Struct, array_like=True, frozen=True):
    """A source partition, or what one leader has written of it.

    ``topic_id`` tells a recreated topic from a replay; empty where the broker has no ids. ``leader_epoch`` tells the
    records of a partition that has lost its end from those that had the same offsets before; -1 where it is not known.
    """

    topic: str
    topic_id: str
    partition: int
    leader_epoch: int = NO_EPOCH


class RuleAward(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Points one rule gives for the event; ``value_hash`` is the hash of the rule's ``once_per`` field."""

    rule_id: int
    points: int | float
    value_hash: bytes | None = None


class AttributeAward(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What an attribute's new value earned: points of its band, and the ids of the model's attribute tests it passes.

    ``points`` is ``None`` where the event removed the attribute. The value itself is nowhere in the log.
    """

    attribute_id: int
    points: int | float | None
    passed: list[int]


class Trace(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A W3C trace context: the headers ``traceparent`` and ``tracestate``."""

    parent: str
    state: str | None = None


class Award(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What one event earned, or one command (``type`` ``command.*``; ``adjust`` is an award of its own rule).

    ``source`` is an index into the frame's sources; ``target`` is the event id a ``retract`` names, ``target_type`` the
    type of that event, ``None`` for every type that the model names. ``into`` is the lead that a ``merge`` makes this
    one an alias of. ``received_at_ms`` is the Kafka timestamp of the record behind it, and ``trace`` its trace context;
    ``None`` where it has none.
    """

    source: int
    offset: int
    lead_id: str
    event_id: str
    type: str
    occurred_at_ms: int
    campaign: str | None = None
    rules: list[RuleAward] = []
    attributes: list[AttributeAward] = []
    target: str | None = None
    target_type: str | None = None
    into: str | None = None
    received_at_ms: int | None = None
    trace: Trace | None = None


class Frame(msgspec.Struct, array_like=True, frozen=True, tag="frame"):
    """Awards of one batch for one log partition, matched under one model version."""

    model_version: int
    sources: list[Source]
    awards: list[Award]


class OldFrame(Frame, array_like=True, frozen=True, tag="frame"):
    """A frame of format 1. Enters that its events cause have ids without the type: the same fact has the same id."""


class Tick(msgspec.Struct, array_like=True, frozen=True, tag="tick"):
    """It is (at least) this time for these leads."""

    time_ms: int
    lead_ids: list[str]


class Hop(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An alias that a forward has passed; ``edge`` is the position of the merge that had made it one."""

    alias: str
    edge: int


class Absorbed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A lead that has become an alias of ``into``, with all that it was until then, as the state's bytes."""

    lead_id: str
    into: str
    edge: int
    state: bytes


class Forward(msgspec.Struct, array_like=True, frozen=True):
    """An award or command on its way to the lead that its own has become (design 2.9).

    ``position`` is its place among all that the sending log partition forwards, see ``position_of``. ``topic`` is
    the topic of the record behind it; the award's ``source`` and ``offset`` say nothing here, its ``lead_id`` is the
    lead that the forward goes to. ``absorbed``: the award is the merge that brings this lead. ``erased_edge``: the
    award is an ``erase`` that the person's lead sends to one of its aliases, the one that this merge had made.
    """

    position: int
    hops: list[Hop]
    topic: str | None
    award: Award
    absorbed: Absorbed | None = None
    erased_edge: int | None = None


class Forwards(msgspec.Struct, array_like=True, frozen=True, tag="forwards"):
    """What one log partition forwards to another, or to itself: a frame whose source is the log.

    ``model_version`` is the version in force where they come from.
    """

    model_version: int
    source: Source
    forwards: list[Forward]


LogRecord = Frame | Tick | Forwards


class LogFormatError(LeadscoreError):
    """A record of the log is not one of ours, or newer than this program."""


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[LogRecord] = msgspec.msgpack.Decoder(LogRecord)
_old_decoder: msgspec.msgpack.Decoder[LogRecord] = msgspec.msgpack.Decoder(OldFrame | Tick)
_PREFIX: Final = bytes([FORMAT])


def encode(record: LogRecord) -> bytes:
    """The record's value in the log."""
    return _PREFIX + _encoder.encode(record)


def decode(value: bytes) -> LogRecord:
    """The record behind a value of the log; ``LogFormatError`` where it is not one of ours."""
    if value[:1] not in READABLE_FORMATS:
        raise LogFormatError(f"log record of format {value[:1].hex() or 'none'}, expected {FORMAT:02x} or lower")
    decoder = _decoder if value[:1] == _PREFIX else _old_decoder
    try:
        return decoder.decode(memoryview(value)[1:])
    except msgspec.MsgspecError as error:
        raise LogFormatError(f"log record cannot be read: {error}") from error


def position_of(cause_offset: int, index: int) -> int:
    """The place of a forward among all of its log partition: the record that caused it, and which it is of that one's.

    One integer, so that the fence keeps it as it keeps the offset of any other source.
    """
    if not 0 <= index < FORWARDS_PER_CAUSE or not 0 <= cause_offset < 1 << 43:
        raise ValueError(f"forward {index} of log offset {cause_offset}: expected fewer than {FORWARDS_PER_CAUSE}")
    return cause_offset * FORWARDS_PER_CAUSE + index


def cause_of(position: int) -> int:
    """The offset of the log record that caused the forward at this position."""
    return position // FORWARDS_PER_CAUSE


def partition_of(lead_id: str, partitions: int) -> int:
    """The log partition of a lead: CRC32 of its id, as librdkafka's ``consistent`` partitioner."""
    return zlib.crc32(lead_id.encode()) % partitions
