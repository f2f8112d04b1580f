"""A log that has lost its end and was written on: other records stand where applied ones stood."""

from collections.abc import Mapping

import pytest

from leadscore.log.records import NO_EPOCH
from leadscore.pipeline.kafka.questions import Committed
from leadscore.pipeline.kafka.records import Partition
from leadscore.pipeline.score.replaced import replaced_records
from leadscore.store.fence import Fence

LOG = ("log", 3)
OLD, NEW = 4, 6


def replaced(fence: Fence | None, committed: Committed, epochs: dict[int, int]) -> int | None:
    """The offset that is told, where the records at these offsets are of these leaders by now."""

    def leader_epochs(places: Mapping[Partition, int]) -> dict[Partition, int]:
        return {partition: epochs[offset] for partition, offset in places.items() if offset in epochs}

    return replaced_records({LOG: fence}, {LOG: committed}, {LOG: (0, 100)}, leader_epochs).get(LOG)


def fence(offset: int, leader_epoch: int = OLD) -> Fence:
    return Fence("id", offset, 1, 0, {}, log_leader_epoch=leader_epoch)


@pytest.mark.parametrize(("epoch_now", "told"), [(OLD, None), (OLD - 1, None), (NEW, 40)])
def test_a_later_record_at_the_last_applied_offset_is_another_one(epoch_now: int, told: int | None) -> None:
    assert replaced(fence(40), Committed(41, "", OLD), {40: epoch_now}) == told


def test_so_is_one_at_the_last_committed_offset_where_the_states_are_behind() -> None:
    assert replaced(fence(40), Committed(61, "", OLD), {40: OLD, 60: NEW}) == 60
    assert replaced(fence(40), Committed(61, "", NEW), {40: OLD, 60: NEW}) is None


def test_and_where_the_states_are_lost() -> None:
    assert replaced(None, Committed(61, "", OLD), {60: NEW}) == 60
    assert replaced(None, Committed(61, "", OLD), {60: OLD}) is None
    assert replaced(None, Committed(None, ""), {}) is None


def test_where_there_is_no_record_any_more_the_end_of_a_transaction_stands() -> None:
    assert replaced(fence(40), Committed(41, "", OLD), {}) == 40
    assert replaced(fence(40), Committed(61, "", OLD), {40: OLD}) == 60


def test_without_an_epoch_or_beyond_the_log_nothing_is_known() -> None:
    assert replaced(fence(40, NO_EPOCH), Committed(41, "", NO_EPOCH), {40: NEW}) is None
    assert replaced(fence(40), Committed(41, "", OLD), {40: NO_EPOCH}) is None
    assert replaced(fence(400), Committed(401, "", OLD), {400: NEW}) is None
