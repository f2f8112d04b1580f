"""``leadscore log accept-gap``: after it the worker goes on, at the oldest record held, whatever it had stopped for."""

import pytest
from msgspec.structs import replace

from leadscore.cli.accept_gap import Decision, decision_of
from leadscore.errors import PartitionStopped
from leadscore.model.compile import compile_model
from leadscore.model.definition import ModelDefinition
from leadscore.pipeline.score.reconcile import Facts, decide
from leadscore.pipeline.score.shard import Shard
from leadscore.scoring.context import FoldSettings
from leadscore.store.fence import Fence, decode

SOURCES = {"web/idw/0": 812}


def fence(offset: int, topic_id: str = "now") -> Fence:
    return Fence(topic_id, offset, 3, 1_000, SOURCES)


def facts(fence: Fence | None, committed: int | None, low: int, high: int) -> Facts:
    return Facts(5, fence, committed, low, high, "now")


GAPS = {
    "trimmed": facts(fence(9), 12, 40, 60),
    "trimmed away": facts(fence(9), 12, 60, 60),
    "recreated": facts(fence(900, "before"), 901, 0, 30),
    "recreated and longer than before": facts(fence(9, "before"), 10, 0, 30),
    "ahead of the log": facts(fence(900), 20, 0, 30),
    "written on after its end was lost": replace(facts(fence(20), 21, 0, 30), replaced=20),
    "states lost, and written on after its end was lost": replace(facts(None, 21, 0, 30), replaced=20),
    "committed beyond the end": facts(fence(9), 901, 0, 30),
    "lost and trimmed": facts(None, 50, 40, 60),
}


@pytest.mark.parametrize("gap", GAPS.values(), ids=GAPS)
def test_a_stopped_shard_goes_on_at_the_oldest_record_held(gap: Facts) -> None:
    with pytest.raises(PartitionStopped):
        decide(gap, rebuild=True)
    decision = decision_of(gap, first_version=2)
    committed = gap.committed if decision.committed is None else decision.committed
    start = decide(Facts(5, decision.fence, committed, gap.low, gap.high, "now"), rebuild=False)
    assert start.offset == gap.low


def test_source_offsets_and_model_version_stay_so_that_nothing_counts_twice() -> None:
    assert decision_of(GAPS["trimmed"], 2) == Decision(Fence("now", 39, 3, 1_000, SOURCES), None)


def test_crossings_of_another_log_do_not_hold_back_those_of_this_one() -> None:
    assert decision_of(GAPS["recreated and longer than before"], 2).committed == 0
    assert decision_of(GAPS["recreated"], 2).committed == 0
    assert decision_of(GAPS["committed beyond the end"], 2).committed == 0
    assert decision_of(GAPS["written on after its end was lost"], 2).committed == 0
    assert decision_of(GAPS["states lost, and written on after its end was lost"], 2).committed == 0


def test_what_was_published_of_this_log_is_not_published_again() -> None:
    assert decision_of(GAPS["lost and trimmed"], 2).committed is None
    assert decision_of(GAPS["ahead of the log"], 2).committed is None


def test_a_shard_without_state_begins_with_the_version_of_the_oldest_frame() -> None:
    assert decision_of(GAPS["lost and trimmed"], 2).fence == Fence("now", 39, 2, 0, {}, is_clearing=True)


@pytest.mark.parametrize(
    ("gap", "incarnation"),
    [
        ("trimmed", 0),
        ("recreated", 0),
        ("ahead of the log", 1),
        ("written on after its end was lost", 1),
        ("committed beyond the end", 1),
    ],
)
def test_a_log_that_went_back_is_another_source_of_forwards(gap: str, incarnation: int) -> None:
    """Its offsets are used again, and what is forwarded by them is not what was forwarded then."""
    accepted = decision_of(GAPS[gap], 2).fence
    assert accepted.log_incarnation == incarnation
    shard = Shard(5, None, accepted, lambda _: compile_model(ModelDefinition("m", 1)), FoldSettings())
    assert shard.source("log").topic_id == ("now+1" if incarnation else "now")
    assert decode(shard.pending(0).fence).log_incarnation == incarnation
