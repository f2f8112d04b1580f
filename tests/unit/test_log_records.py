"""The records of the award log are read as they were written, and so are those of before merges (design 2.3, 2.9)."""

import msgspec
import pytest

from leadscore.log.records import (
    FORWARDS_PER_CAUSE,
    MERGE,
    Absorbed,
    Award,
    Forward,
    Forwards,
    Frame,
    Hop,
    LogFormatError,
    LogRecord,
    RuleAward,
    Source,
    Tick,
    decode,
    encode,
    position_of,
)

SOURCE = Source("leadscore.awards", "idl", 3)
EVENT = Award(0, 9, "A", "e1", "website.page_view", 1_767_614_400_000, "spring", [RuleAward(7, 40)])
MERGED = Award(0, 9, "A", "m1", MERGE, 1_767_614_400_000, into="A")
FORWARDED = Forwards(
    4,
    SOURCE,
    [
        Forward(position_of(12, 0), [Hop("B", 5), Hop("C", 6)], "leadscore.website", EVENT),
        Forward(position_of(12, 1), [], None, MERGED, Absorbed("B", "A", 5, b"\x03\x90")),
        Forward(position_of(12, 2), [], None, Award(0, 0, "B", "x", "command.erase", 1), erased_edge=5),
    ],
)


@pytest.mark.parametrize("record", [FORWARDED, Frame(3, [SOURCE], [EVENT, MERGED]), Tick(5, ["A", "B"])])
def test_a_record_is_read_as_it_was_written(record: LogRecord) -> None:
    assert decode(encode(record)) == record


def test_records_have_the_format_of_merges_at_which_an_older_worker_stops() -> None:
    assert encode(Tick(5, ["A"]))[:1] == b"\x02"


def test_records_from_before_merges_are_read() -> None:
    award = [0, 9, "A", "e1", "website.page_view", 5, None, [], [], None, None]
    old = b"\x01" + msgspec.msgpack.encode(["frame", 3, [["website", "idw", 0]], [award]])
    record = decode(old)
    assert isinstance(record, Frame)
    assert record.awards == [Award(0, 9, "A", "e1", "website.page_view", 5)]


def test_a_record_of_a_newer_format_is_refused() -> None:
    with pytest.raises(LogFormatError, match="format 03, expected 02 or lower"):
        decode(b"\x03" + encode(Tick(5, ["A"]))[1:])


def test_positions_of_forwards_go_up_with_the_cause_and_then_with_the_number() -> None:
    places = [(0, 0), (0, 1), (0, FORWARDS_PER_CAUSE - 1), (1, 0), (7, 3), (1 << 40, 0)]
    positions = [position_of(*place) for place in places]
    assert positions == sorted(set(positions))
    assert positions[-1] < 1 << 63


@pytest.mark.parametrize(("offset", "index"), [(0, FORWARDS_PER_CAUSE), (0, -1), (-1, 0), (1 << 43, 0)])
def test_a_position_beyond_its_bounds_is_refused(offset: int, index: int) -> None:
    with pytest.raises(ValueError, match="expected fewer than"):
        position_of(offset, index)
