"""The merge of source partitions by Kafka timestamp."""

from hypothesis import given
from hypothesis import strategies as st

from leadscore.pipeline.match.alignment import RECORD_BYTES, Alignment

WAIT_MS = 1_000
Record = tuple[str, int]


def alignment(*keys: str, wait_ms: int = WAIT_MS, most_records: int = 1_000) -> Alignment[str, Record]:
    made: Alignment[str, Record] = Alignment(wait_ms, most_records * RECORD_BYTES)
    made.assign(keys)
    return made


def add(merge: Alignment[str, Record], key: str, *timestamps_ms: int) -> None:
    merge.add(key, [(timestamp_ms, 0, (key, timestamp_ms)) for timestamp_ms in timestamps_ms])


def test_records_go_in_the_order_of_their_timestamps_as_far_as_every_partition_is_known() -> None:
    merge = alignment("a", "b")
    add(merge, "a", 1, 4, 9)
    add(merge, "b", 2, 5)
    assert merge.take(0, 100) == [("a", 1), ("b", 2), ("a", 4), ("b", 5)]
    merge.at_end("b")
    assert merge.take(0, 100) == [("a", 9)]


def test_a_partition_at_its_end_is_not_waited_for_until_it_has_records_again() -> None:
    merge = alignment("a", "b")
    merge.at_end("b")
    add(merge, "a", 1, 2)
    assert merge.take(0, 100) == [("a", 1), ("a", 2)]
    add(merge, "b", 5)
    add(merge, "a", 3, 9)
    assert merge.take(0, 100) == [("a", 3), ("b", 5)]


def test_a_partition_of_which_nothing_is_known_is_waited_for_but_not_for_ever() -> None:
    merge = alignment("a", "b", "c")
    add(merge, "a", 1)
    merge.at_end("a")
    assert merge.take(10, 100) == []
    assert merge.take(10 + WAIT_MS - 1, 100) == []
    assert merge.take(10 + WAIT_MS, 100) == [("a", 1)]


def test_waiting_begins_anew_when_a_partition_has_run_empty() -> None:
    merge = alignment("a", "b")
    add(merge, "a", 1, 3)
    add(merge, "b", 2)
    assert merge.take(0, 100) == [("a", 1), ("b", 2)]
    assert merge.take(5 * WAIT_MS, 100) == []
    assert merge.take(6 * WAIT_MS, 100) == [("a", 3)]


def test_within_a_partition_offset_order_stays_though_timestamps_go_back() -> None:
    merge = alignment("a", "b")
    add(merge, "a", 5, 1, 7)
    add(merge, "b", 6, 8)
    assert merge.take(0, 100) == [("a", 5), ("a", 1), ("b", 6), ("a", 7)]


def test_a_batch_is_full_although_partitions_have_unlike_many_records() -> None:
    merge = alignment("a", "b", "c")
    add(merge, "a", *range(0, 1_000, 1))
    add(merge, "b", *range(0, 1_000, 10))
    add(merge, "c", *range(0, 1_000, 100))
    assert 280 <= len(merge.take(0, 300)) <= 300


def test_a_partition_far_ahead_is_paused_at_half_of_the_bytes_until_an_eighth_of_its_share_is_left() -> None:
    merge = alignment("a", "b", most_records=16)
    add(merge, "a", *range(1, 8))
    assert merge.flow() == ([], [])
    add(merge, "a", 8)
    assert merge.flow() == (["a"], [])
    assert merge.flow() == ([], [])
    add(merge, "b", 6)
    merge.take(0, 100)
    assert merge.flow() == ([], [])
    add(merge, "b", 7)
    merge.take(0, 100)
    assert merge.flow() == ([], ["a"])


def test_a_large_record_counts_as_what_it_is() -> None:
    merge = alignment("a", "b", most_records=16)
    merge.add("a", [(1, 8 * RECORD_BYTES, ("a", 1))])
    assert (merge.held_bytes, merge.flow()) == (9 * RECORD_BYTES, (["a"], []))
    merge.at_end("b")
    merge.take(0, 100)
    assert (merge.held_bytes, merge.flow()) == (0, ([], ["a"]))


def test_without_waiting_there_is_no_merge() -> None:
    merge = alignment("a", "b", wait_ms=0)
    add(merge, "a", 9)
    add(merge, "b", 1)
    assert merge.take(0, 100) == [("a", 9), ("b", 1)]


def test_a_partition_that_was_taken_away_is_forgotten() -> None:
    merge = alignment("a", "b")
    add(merge, "a", 1)
    merge.revoke(["a"])
    add(merge, "a", 2)
    merge.at_end("b")
    assert merge.take(0, 100) == []


def test_time_has_reached_the_earliest_record_that_waits_and_no_partition_that_is_still_to_be_read() -> None:
    merge = alignment("a", "b")
    assert merge.reached_ms(50) < 0
    add(merge, "a", 1, 8)
    add(merge, "b", 3)
    assert merge.reached_ms(50) == 1
    merge.take(0, 100)
    assert merge.reached_ms(50) == 3
    merge.at_end("b")
    assert merge.reached_ms(50) == 8
    merge.take(0, 100)
    merge.at_end("a")
    assert merge.reached_ms(50) == 50


@given(
    lengths=st.lists(st.integers(0, 60), min_size=2, max_size=5),
    chunk=st.integers(1, 7),
    most_records=st.integers(1, 40),
)
def test_no_more_is_held_than_the_limit_and_one_poll(lengths: list[int], chunk: int, most_records: int) -> None:
    """One partition stays behind, so that nothing may go and whatever the others bring is held."""
    merge = alignment("behind", *map(str, range(len(lengths))), most_records=most_records)
    unread = {str(number): list(range(length)) for number, length in enumerate(lengths)}
    while unread:
        polled = sum(len(times_ms[:chunk]) for times_ms in unread.values())
        for key in list(unread):
            add(merge, key, *unread[key][:chunk])
            unread[key] = unread[key][chunk:]
        assert merge.held_bytes <= (most_records + polled) * RECORD_BYTES
        for key in [*merge.flow().pause, *[key for key, times_ms in unread.items() if not times_ms]]:
            unread.pop(key, None)


@given(
    partitions=st.lists(st.lists(st.integers(0, 50), max_size=30).map(sorted), min_size=1, max_size=4),
    most=st.integers(1, 20),
    chunk=st.integers(1, 7),
)
def test_a_whole_history_comes_out_in_the_order_of_time(partitions: list[list[int]], most: int, chunk: int) -> None:
    merge = alignment(*map(str, range(len(partitions))), most_records=15)
    unread = {str(number): list(timestamps_ms) for number, timestamps_ms in enumerate(partitions)}
    taken: list[Record] = []
    paused: set[str] = set()
    while unread or len(taken) < sum(map(len, partitions)):
        for key in [key for key in unread if key not in paused]:
            add(merge, key, *unread[key][:chunk])
            unread[key] = unread[key][chunk:]
            if not unread[key]:
                merge.at_end(key)
                del unread[key]
        flow = merge.flow()
        paused = (paused | set(flow.pause)) - set(flow.resume)
        taken += merge.take(0, most)
    assert [timestamp_ms for _, timestamp_ms in taken] == sorted(time for times in partitions for time in times)
