"""How much the score stage takes in a turn, and that it works through few shards at a time."""

from collections.abc import Sequence
from typing import cast

import pytest
from confluent_kafka import Message

from leadscore.errors import Unavailable
from leadscore.log.records import LogRecord
from leadscore.pipeline.score import batch, polling
from leadscore.pipeline.score.batch import GROUP_BYTES, in_groups
from leadscore.scoring.score import main_score_at
from leadscore.scoring.state import decode_state
from leadscore.store.shard import ShardWrite
from tests.unit.fake_kafka import FakeMessage
from tests.unit.fake_store import FakeStore
from tests.unit.page_views import NOON_MS, stage_of, view
from tests.unit.stage_of_score import LOG_TOPIC, StageOfScore


def written(store: FakeStore) -> list[list[int]]:
    """The shards of each write of leads, in order."""
    calls = [argument for method, argument in store.journal if method == "store.write"]
    writes = [[one.shard for one in call if one.leads] for call in calls if isinstance(call, list)]
    return [shards for shards in writes if shards]


class OnceAway(FakeStore):
    """Does not answer the first write of shard 1."""

    is_away = True

    def write(self, writes: Sequence[ShardWrite]) -> dict[int, bytes | None]:
        if self.is_away and any(write.shard == 1 and write.leads for write in writes):
            self.is_away = False
            raise Unavailable("redis", "timeout", "planned by the test")
        return super().write(writes)


def message(number: int, size: int) -> Message:
    return cast("Message", FakeMessage((LOG_TOPIC, number, 0), b"\0" * size))


def test_few_shards_make_a_group_where_they_have_many_records() -> None:
    half = GROUP_BYTES // 2
    records = {number: [message(number, half)] for number in range(3)} | {3: [message(3, 10)] * 2}
    groups = list(in_groups(records))
    assert [list(group) for group in groups] == [[0, 1], [2, 3]]
    assert {number: run for group in groups for number, run in group.items()} == records


def test_nothing_makes_no_group() -> None:
    assert not list(in_groups({}))


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every shard is a group of its own."""
    monkeypatch.setattr(batch, "GROUP_BYTES", 1)


def two_shards(store: FakeStore) -> StageOfScore:
    return stage_of(store, [view(0), view(1)], [view(0, "L2"), view(1, "L2")])


@pytest.mark.usefixtures("apart")
def test_each_group_is_written_before_the_next_is_read() -> None:
    store = FakeStore()
    scoring = two_shards(store)
    scoring.turn()
    store.journal.clear()
    scoring.turn()
    calls = [method for method, _ in store.journal if method in ("store.read_leads", "store.write")]
    assert calls[:4] == ["store.read_leads", "store.write"] * 2
    assert written(store) == [[0], [1]]


@pytest.mark.usefixtures("apart")
def test_a_long_turn_tells_after_each_group_that_the_loop_turns() -> None:
    scoring = two_shards(FakeStore())
    scoring.turn()
    before = scoring.beats
    scoring.turn()
    assert scoring.beats == before + 2


def test_few_records_are_one_group() -> None:
    store = FakeStore()
    two_shards(store).turns(2)
    assert written(store) == [[0, 1]]


@pytest.mark.usefixtures("apart")
def test_an_outage_at_the_second_group_leaves_the_first_written_and_both_go_on_afterwards() -> None:
    store = OnceAway()
    scoring = two_shards(store)
    scoring.turns(2)
    assert scoring.is_paused
    assert written(store) == [[0]]
    scoring.turn(60.0)
    scoring.turns(3)
    assert not scoring.is_paused
    states = [decode_state(store.shards[shard].leads[lead_id]) for shard, lead_id in ((0, "L1"), (1, "L2"))]
    assert [main_score_at(state, scoring.model, NOON_MS).value for state in states] == [20, 20]


def many(records: int, **settings: str) -> StageOfScore:
    log: list[LogRecord] = [view(number) for number in range(records)]
    scoring = stage_of(FakeStore(), log, **settings)
    scoring.turns(2)
    return scoring


def applied(scoring: StageOfScore) -> int:
    return scoring.committed_offset(0) or 0


def test_a_turn_polls_until_nothing_is_left() -> None:
    scoring = many(2 * polling.FRAMES_AT_ONCE + 1)
    assert applied(scoring) == 2 * polling.FRAMES_AT_ONCE + 1
    assert not scoring.stage.has_more


def test_a_turn_takes_no_more_records_than_set() -> None:
    most = polling.FRAMES_AT_ONCE + 50
    scoring = many(most + 1, LEADSCORE_SCORE_BATCH_FRAMES=str(most))
    assert applied(scoring) == most
    assert scoring.stage.has_more
    scoring.turn()
    assert applied(scoring) == most + 1


def test_a_turn_takes_no_further_poll_once_it_has_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "MOST_BYTES", 1)
    scoring = many(2 * polling.FRAMES_AT_ONCE)
    assert applied(scoring) == polling.FRAMES_AT_ONCE
    assert scoring.stage.has_more
