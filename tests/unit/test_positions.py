"""Positions of source records: leader epoch and offset. What took the place of a lost record is no replay of it."""

import pytest

from leadscore.log.positions import ALL_SEEN, NOTHING_SEEN, OFFSETS, position_after, position_at, seen_offset
from leadscore.log.records import NO_EPOCH, Award, Frame, RuleAward, Source, stable_id
from leadscore.model.compile import compile_model
from leadscore.pipeline.score.shard import Shard
from leadscore.scoring.context import FoldSettings
from leadscore.store.fence import Fence, decode
from tests.unit.page_views import DEFINITION

MODEL = compile_model(DEFINITION)
OLD, NEW = 4, 7


def test_the_order_of_positions_is_that_of_the_records() -> None:
    in_order = [position_at(NO_EPOCH, 9), position_at(0, 0), position_at(0, 9), position_at(1, 5), position_at(1, 6)]
    assert in_order == sorted(in_order)
    assert position_at(NO_EPOCH, 812) == 812  # those that were stored before positions had an epoch


@pytest.mark.parametrize(
    ("position", "leader_epoch", "offset"),
    [
        (NOTHING_SEEN, OLD, NOTHING_SEEN),
        (position_at(OLD, 50), OLD, 50),
        (position_at(OLD, 50), NEW, NOTHING_SEEN),
        (position_at(NEW, 30), OLD, ALL_SEEN),
        (50, OLD, 50),
        (position_at(OLD, 50), NO_EPOCH, 50),
    ],
)
def test_what_was_seen_of_the_records_of_a_leader(position: int, leader_epoch: int, offset: int) -> None:
    assert seen_offset(position, leader_epoch) == offset


def test_a_position_keeps_the_epoch_that_is_known() -> None:
    assert position_after(NOTHING_SEEN, NO_EPOCH, 3) == 3
    assert position_after(3, OLD, 4) == position_at(OLD, 4)
    assert position_after(position_at(OLD, 4), NO_EPOCH, 5) == position_at(OLD, 5)


def test_the_latest_position_fits_into_what_the_fence_can_hold() -> None:
    assert position_at(2_000_000, OFFSETS - 1) < 1 << 64


class Folding:
    """A shard, and the points of its one lead."""

    def __init__(self, sources: dict[str, int]) -> None:
        self.shard = Shard(0, None, Fence("log", -1, 1, 0, sources), lambda _: MODEL, FoldSettings())
        self.shard.load(["L1"], [None])
        self._offset = 0

    def frame(self, *records: tuple[int, int]) -> int:
        """Fold a frame of records, each of a leader epoch and an offset; how many counted."""
        epochs = list(dict.fromkeys(epoch for epoch, _ in records))
        awards = [
            Award(
                epochs.index(epoch),
                offset,
                "L1",
                f"{epoch}/{offset}",
                "website.page_view",
                1_000 + offset,
                rules=[RuleAward(stable_id("view"), 10)],
            )
            for epoch, offset in records
        ]
        self.shard.fold(Frame(1, [Source("website", "id", 0, epoch) for epoch in epochs], awards), self._offset, 1_000)
        self._offset += 1
        return self.shard.take_counts().applied

    @property
    def stored(self) -> dict[str, int]:
        return decode(self.shard.pending(0).fence).sources


def test_records_in_the_place_of_lost_ones_count_and_replays_of_both_do_not() -> None:
    folding = Folding({})
    assert folding.frame((OLD, 98), (OLD, 99)) == 2
    assert folding.frame((NEW, 70), (NEW, 71)) == 2  # the partition has lost 70 to 99, and goes on at 70
    assert folding.frame((OLD, 69), (NEW, 70), (NEW, 71), (NEW, 72)) == 1
    assert folding.frame((OLD, 99)) == 0
    assert folding.frame((NEW, 73), (NEW + 1, 74)) == 2  # both leaders in one frame
    assert folding.frame((NEW, 73), (NEW + 1, 74)) == 0
    assert folding.stored == {"website/id/0": position_at(NEW + 1, 74)}


def test_positions_that_were_stored_without_an_epoch_go_on_by_the_offset() -> None:
    folding = Folding({"website/id/0": 50})
    assert folding.frame((OLD, 50), (OLD, 51)) == 1
    assert folding.stored == {"website/id/0": position_at(OLD, 51)}


def test_a_source_of_a_frame_that_has_no_award_in_it_changes_nothing() -> None:
    folding = Folding({"website/id/0": position_at(OLD, 50)})
    folding.shard.fold(Frame(1, [Source("website", "id", 0, NEW)], []), 0, 1_000)
    assert folding.stored == {"website/id/0": position_at(OLD, 50)}
