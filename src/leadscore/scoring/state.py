"""What is kept of a lead between records (design 1.9), and its bytes. Pure.

The bytes are one format byte and MessagePack, positional; fields are only ever appended, with a default. Encoding loses
nothing: a state read back folds on exactly like the one in memory, or replays would not be byte for byte the same.

Where the latest scores are published, a mark stands before the state: the format byte with its highest bit set, the
mark's length in one byte, the mark. A worker without the scores topic reads past it and does not write it again.
"""

from collections.abc import MutableMapping

import msgspec

from leadscore.errors import LeadscoreError
from leadscore.scoring import old_states
from leadscore.scoring.old_states import ById, read_old
from leadscore.scoring.recent import packed, unpacked
from leadscore.time_units import DAY_MS

FORMAT = 3
LATE_WORKER_MS = 7 * DAY_MS
"""How much longer than a lead is remembered its key lives: a worker that is late still finds the same."""

Points = int | float
"""Points as they were awarded: whole ones stay ``int``, which is one byte in the state instead of nine."""
Total = float | dict[int, Points]
"""What a rule's events add up to: a value at ``latest_record_ms``, or, where points age in days, points per UTC day."""
AwardedPoints = tuple[Points, ...]
"""What one event was awarded: index into the lead's ``rules``, points, and so on for each rule it matched."""


class ThresholdState(msgspec.Struct, array_like=True, frozen=True):
    """Where the lead stands with one threshold; exists from its first enter on."""

    threshold_id: int
    is_in: bool
    entered_id: bytes
    entered_ms: int
    held: bool
    """Entered at once with a score of ``exit`` or less: the score does not take it out yet."""
    sequence: int
    """The number of the lead's latest crossing of the threshold."""


class AttributeState(msgspec.Struct, array_like=True, frozen=True):
    """What an attribute's value earned; ``points`` is ``None`` where it was removed."""

    at: bytes
    """Time and hash of the event that set it, as in the recent events: the later one wins."""
    points: int | float | None
    passed: list[int]


class Settled(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of a rule's events that are no longer among the recent ones.

    ``total`` and what comes after it is used by rules with a selection only: elsewhere the running total holds them
    already. What is not there is ``None``: an empty collection of each rule is half of what a lead takes in memory.
    """

    points: float = 0.0
    count: int = 0
    latest_ms: int | None = None
    counted_ms: int | None = None
    """When the latest that counted occurred, of a rule that disqualifies or recycles; it outlasts a reset."""
    total: Total = 0.0
    values: list[bytes] | None = None
    """Values of ``once_per`` that have had their event."""
    buckets: dict[int, int] | None = None
    """How much of its limit each bucket has used; bucket 0 where the limit is for ever."""
    burst_ms: list[int] | None = None
    """Times of the last events, for bursts that go on among the recent ones."""


class Suspension(msgspec.Struct, array_like=True, frozen=True):
    """A ``suspend`` or a ``resume``: its time and hash, and whether it suspends."""

    at: bytes
    suspends: bool


class Alias(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Of an id that is a person's but not the lead's: where its records go on to."""

    into: str
    edge: int
    """The position of what the merge put out that made it an alias: no two merges have the same."""


class Member(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One of a lead's aliases, as far as the lead has been told."""

    into: str
    edge: int
    latest_ms: int
    """When its latest record occurred: it is remembered from then on."""


class Flags(msgspec.Struct, array_like=True, gc=False):
    """What commands said, and what is rare; absent for most leads."""

    left_ms: int | None = None
    """When the lead last left a threshold by time."""
    reset_ms: int | None = None
    requalified_ms: int | None = None
    suspension: Suspension | None = None
    """The latest ``suspend`` or ``resume``."""
    retracted: dict[bytes, int] = {}
    """Hashes of the type and id of retracted events, without the type where none was named; the time of the command."""
    settled_first_ms: int | None = None
    settled_last_ms: int | None = None
    settled: dict[int, Settled] = {}
    settled_attributes: dict[int, AttributeState] = {}
    recent_attributes: dict[bytes, dict[int, AttributeState]] = {}
    """By event hash: what recent events set. An attribute's value is the latest of these and the settled."""
    once_values: dict[bytes, bytes] = {}
    """By event and rule, see ``once_key``: the hash of the rule's ``once_per`` value."""
    under_model_since_ms: int | None = None
    """When a new model version began to hold for a lead that was in a threshold: it takes no lead out before."""
    targets: dict[bytes, str] = {}
    """By hash as in ``retracted``: the ids that were retracted without a type, for events of a lead merged later."""
    aliases: dict[str, Member] = {}
    """The other ids of the person, by id."""
    by_id: ById | None = None
    """What is left of a state of format 2."""
    merges: tuple[bytes, ...] = ()
    """Hashes of the type and id of the latest merges that the person has seen: one that comes again changes nothing."""


class LeadState(msgspec.Struct, array_like=True, gc=False):
    """A lead. Mutable: the fold changes it in place and nothing else does."""

    model_version: int
    """The model version whose decays and selections ``totals`` follow."""
    latest_record_ms: int
    due_ms: int | None = None
    """Not later than the instant at which time alone takes the lead out of a threshold; ``None``: never."""
    rows: bytes = b""
    """The recent events, see ``recent``."""
    rules: list[int] = []
    totals: list[Total] = []
    """Per rule of ``rules``."""
    awarded: list[AwardedPoints] = []
    """What the recent events were awarded; they point here, so that equal awards are stored once per lead."""
    thresholds: list[ThresholdState] = []
    flags: Flags | None = None
    alias: Alias | None = None
    """Of an id that was merged into another. Nothing is left of it but the numbers of its crossings."""


States = MutableMapping[str, LeadState | None]
"""Leads by id; ``None`` is a lead without any record."""


class Mark(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What was last written to the scores topic of the lead, and when; see ``latest``."""

    at_s: int
    hundredths: int
    """Of a point: the score, without floor and ceiling."""
    standing: int
    """A hash of where it stood besides."""
    others: dict[int, int] = {}
    """The same of the model's other scores, by the stable id of the name."""


class StateFormatError(LeadscoreError):
    """The bytes are not a lead state, or one of a newer program."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(LeadState)
_mark_decoder = msgspec.msgpack.Decoder(Mark)
_PREFIX = bytes([FORMAT])
_MARKED_PREFIX = bytes([FORMAT | 0x80])
_OLD_PREFIX = bytes([old_states.FORMAT])


def encode_state(state: LeadState, mark: Mark | None = None) -> bytes:
    """The bytes kept in Redis."""
    rows = state.rows
    state.rows = packed(rows)
    try:
        if mark is None:
            return _PREFIX + _encoder.encode(state)
        marked = _encoder.encode(mark)
        return _MARKED_PREFIX + bytes((len(marked),)) + marked + _encoder.encode(state)
    finally:
        state.rows = rows


def decode_state(data: bytes) -> LeadState:
    """The lead behind the bytes; ``StateFormatError`` where this program cannot read them."""
    prefix = data[:1]
    try:
        if prefix == _PREFIX:
            return _decoded(memoryview(data)[1:])
        if prefix == _MARKED_PREFIX:
            return _decoded(memoryview(data)[2 + data[1] :])
        if prefix == _OLD_PREFIX:
            return _read_forward(memoryview(data)[1:])
    except (msgspec.MsgspecError, ValueError, IndexError) as error:
        raise StateFormatError(f"lead state cannot be read: {error}") from error
    raise StateFormatError(f"lead state of format {prefix.hex() or 'none'}, expected {FORMAT:02x} or lower")


def _decoded(fields: bytes | memoryview) -> LeadState:
    state = _decoder.decode(fields)
    state.rows = unpacked(state.rows)
    return state


def _read_forward(fields: memoryview) -> LeadState:
    old = read_old(fields)
    state = _decoded(old.fields)
    if old.by_id is not None:
        state.flags = state.flags or Flags()
        state.flags.by_id = old.by_id
    return state


def decode_mark(data: bytes) -> Mark | None:
    """The mark before a state that can be read; ``None`` where it has no mark."""
    if data[:1] != _MARKED_PREFIX:
        return None
    try:
        return _mark_decoder.decode(memoryview(data)[2 : 2 + data[1]])
    except (msgspec.MsgspecError, IndexError) as error:
        raise StateFormatError(f"lead state cannot be read: its mark: {error}") from error
