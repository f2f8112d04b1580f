"""A shard that begins anew begins with nothing, whatever Redis still holds of it."""

from collections.abc import Mapping

import pytest

from leadscore.log.records import LogRecord
from leadscore.store.fence import Fence
from leadscore.store.fence import decode as decode_fence
from leadscore.store.fence import encode as encode_fence
from leadscore.store.shard import LeadPage, ScanPlace
from tests.unit import fake_store
from tests.unit.fake_store import FakeShard, FakeStore
from tests.unit.page_views import stage_of, view
from tests.unit.stage_of_score import LOG_ID, LOG_TOPIC, StageOfScore

LOG: list[LogRecord] = [view(number, f"L{number % 3}") for number in range(60)]
"""Twenty events for each lead: more than it remembers one by one."""
STRANGE_OFFSET = 7
FEW_RECENT = {"LEADSCORE_RECENT_EVENTS": "8", "LEADSCORE_SCORE_BATCH_FRAMES": "10"}


def scoring_on(store: FakeStore, committed: int = 0, **settings: str) -> StageOfScore:
    scoring = stage_of(store, LOG, **FEW_RECENT, LEADSCORE_ON_STATE_LOSS="rebuild", **settings)
    if committed:
        scoring.consumer.committed_offsets[LOG_TOPIC, 0] = committed
    return scoring


def whole(store: FakeStore) -> Mapping[str, object]:
    """Everything stored of the shard but who wrote it, and what is to be published."""
    shard = store.shards[0]
    assert shard.fence is not None
    fence = decode_fence(shard.fence)
    fence_facts = (fence.offset, fence.model_version, fence.sources, fence.is_clearing)
    assert STRANGE_OFFSET not in shard.outbox
    return {"leads": shard.leads, "due": shard.due, "erased": shard.erased, "fence": fence_facts}


@pytest.fixture
def plain() -> Mapping[str, object]:
    """What the log gives in one go."""
    store = FakeStore()
    scoring_on(store).turns(12)
    return whole(store)


@pytest.fixture
def without_fence() -> FakeStore:
    """Everything is applied; then the fence is gone, and nothing else."""
    store = FakeStore()
    scoring_on(store).turns(12)
    shard = store.shards[0]
    shard.fence = None
    shard.leads["stranger"] = shard.leads["L1"]
    shard.due |= {"stranger": 5, "due without a state": 6}
    shard.erased[b"hash of an erased lead"] = b"\x92\x01\x02"
    shard.outbox[STRANGE_OFFSET] = b"crossings of another fold"
    return store


def test_a_rebuild_counts_nothing_twice_though_the_leads_survived(
    without_fence: FakeStore, plain: Mapping[str, object]
) -> None:
    scoring = scoring_on(without_fence, committed=60)
    scoring.turns(12)
    assert whole(without_fence) == plain
    assert scoring.crossing_ids == []


def test_a_first_start_trusts_nothing_that_is_there_already(
    without_fence: FakeStore, plain: Mapping[str, object]
) -> None:
    scoring_on(without_fence).turns(12)
    assert whole(without_fence) == plain


@pytest.mark.parametrize("turns", range(1, 6))
def test_a_crash_in_the_middle_of_a_rebuild_leaves_nothing_to_trust_wrongly(
    without_fence: FakeStore, plain: Mapping[str, object], turns: int
) -> None:
    scoring_on(without_fence, committed=60, LEADSCORE_CACHE_LEADS="0").turns(turns)
    scoring_on(without_fence, committed=60).turns(12)
    assert whole(without_fence) == plain


@pytest.mark.parametrize("method", ["scan_leads", "due_all", "write"])
@pytest.mark.parametrize("after", [False, True])
def test_a_clearing_that_breaks_off_is_done_again(
    without_fence: FakeStore, plain: Mapping[str, object], method: str, *, after: bool
) -> None:
    without_fence.fail_next(method, "timeout", after=after)
    scoring = scoring_on(without_fence, committed=60)
    scoring.turn()
    assert scoring.is_paused
    scoring_on(without_fence, committed=60).turns(12)
    assert whole(without_fence) == plain


class TakenOverStore(FakeStore):
    """While the leads are looked for, another worker replaces the fence and folds a lead."""

    taken_over = False

    def scan_leads(self, place: ScanPlace = ScanPlace()) -> LeadPage:  # noqa: B008  # a frozen value
        page = super().scan_leads(place)
        if not self.taken_over:
            self.taken_over = True
            theirs = encode_fence(Fence(LOG_ID, 0, 1, 0, {"website//0": 0}, "another"))
            self.shards[0] = FakeShard(theirs, {"L0": self.shards[0].leads["L0"]})
        return page


def test_a_worker_that_lost_the_shard_while_clearing_it_deletes_nothing_more() -> None:
    store = TakenOverStore()
    store.taken_over = True
    scoring_on(store).turns(12)
    store.shards[0].fence, store.taken_over = None, False
    scoring = scoring_on(store, committed=60)
    scoring.turn()
    assert store.shards[0].leads.keys() == {"L0"}
    assert scoring.is_paused


def test_told_to_halt_a_shard_without_a_fence_is_left_as_it_is(without_fence: FakeStore) -> None:
    before = without_fence.snapshot()
    scoring = stage_of(without_fence, LOG, **FEW_RECENT)
    scoring.consumer.committed_offsets[LOG_TOPIC, 0] = 60
    scoring.turns(5)
    assert without_fence.shards == before
    assert list(scoring.stage.stopped) == [0]


def test_erasures_are_kept_where_the_log_may_not_hold_them_any_more(without_fence: FakeStore) -> None:
    accepted = Fence(LOG_ID, 39, 1, 0, {}, is_clearing=True)
    shard = without_fence.shards[0]
    shard.fence = encode_fence(accepted)
    scoring_on(without_fence, committed=20).turns(1)
    assert (shard.leads, shard.due, shard.outbox) == ({}, {}, {})
    assert list(shard.erased) == [b"hash of an erased lead"]
    assert not decode_fence(shard.fence).is_clearing


def test_a_long_clearing_beats_with_every_page(monkeypatch: pytest.MonkeyPatch, without_fence: FakeStore) -> None:
    monkeypatch.setattr(fake_store, "SCAN_PAGE_LEADS", 1)
    scoring = scoring_on(without_fence, committed=60)
    scoring.turn()
    assert scoring.beats > 1
