"""A batch is gone when its turn is over, whatever went wrong: garbage is looked for seldom, and a batch is large."""

from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

import pytest

from leadscore.errors import Unavailable, without_traceback
from leadscore.log.records import Frame, encode
from leadscore.pipeline.match.batch import Work
from leadscore.pipeline.score.batch import ScoreBatch
from leadscore.store.fence import Fence
from leadscore.store.fence import encode as encode_fence
from tests.garbage import Batch, left_behind
from tests.unit.fake_kafka import records_of
from tests.unit.fake_store import FakeShard, FakeStore
from tests.unit.page_views import stage_of, time_of, view
from tests.unit.stage_of_match import GARBAGE, WEBSITE, StageOfMatch, page_view
from tests.unit.stage_of_score import LOG_ID, LOG_TOPIC, StageOfScore

ErrorT = TypeVar("ErrorT", bound=BaseException)
BATCHES = (Work, ScoreBatch, Frame)


def test_what_refers_to_itself_is_found() -> None:
    def act() -> None:
        batch = Batch()
        batch.itself = batch  # type: ignore[attr-defined]

    assert len(left_behind(act, Batch)) == 1


def failing() -> None:
    """As a client may: the cause is kept by the frame that raises it, and so keeps itself."""
    cause = ValueError("the cause")
    try:
        raise cause
    except ValueError:
        raise Unavailable("redis", "timeout", "no answer") from cause


@pytest.mark.parametrize(("keep", "left"), [(lambda error: error, 1), (without_traceback, 0)])
def test_an_error_that_is_kept_without_its_traceback_keeps_nothing_else(
    keep: Callable[[Unavailable], Unavailable], left: int
) -> None:
    def act() -> None:
        batch = Batch()
        try:
            failing()
        except Unavailable as error:
            batch.error = keep(error)  # type: ignore[attr-defined]

    assert len(left_behind(act, Batch)) == left


def raised(error: ErrorT) -> ErrorT:
    """It has a traceback now."""
    try:
        raise error
    except type(error):
        return error


def test_all_that_led_to_an_error_loses_its_traceback() -> None:
    cause, context, error = (raised(kind("one of three")) for kind in (ValueError, KeyError, OSError))
    error.__cause__, error.__context__ = cause, context
    context.__cause__ = error  # a circle is no reason to go on for ever
    assert None not in [one.__traceback__ for one in (cause, context, error)]
    assert without_traceback(error) is error
    assert [one.__traceback__ for one in (cause, context, error)] == [None, None, None]


def test_a_batch_with_a_dead_letter_is_gone_once_it_is_logged() -> None:
    matching = StageOfMatch({WEBSITE: [page_view("e1"), GARBAGE, page_view("e2")]})

    def act() -> None:
        matching.turn(3)
        matching.dead_letters.sent.clear()  # a client forgets what was delivered

    assert left_behind(act, *BATCHES) == []
    assert matching.logged == ["e1", "e2"]


def test_an_outage_of_the_score_stage_keeps_no_traceback() -> None:
    store = FakeStore()
    scoring = stage_of(store, [view(0), view(1)])
    scoring.turns(1)
    for _ in range(3):
        store.fail_next("read_leads", "timeout")
    scoring.turns(1)
    assert scoring.is_paused
    outage = scoring.stage.outage
    assert outage is not None
    assert outage.__traceback__ is None


def test_an_outage_of_the_match_stage_keeps_no_traceback() -> None:
    matching = StageOfMatch({WEBSITE: [page_view("e1")]})
    object.__setattr__(matching.stage._parts, "topic_ids", failing)
    matching.turn(3)
    assert matching.stage.outage is not None
    assert matching.stage.outage.__traceback__ is None


def test_a_shard_that_is_stopped_before_it_begins_keeps_no_traceback() -> None:
    scoring = stage_of(FakeStore(), [view(0)])
    scoring.consumer.committed_offsets = {(LOG_TOPIC, 0): 1}
    scoring.turns(3)
    assert tracebacks_of_stopped(scoring) == [None]


def tracebacks_of_stopped(scoring: StageOfScore) -> list[TracebackType | None]:
    return [why.__traceback__ for why in scoring.stage._shards.stopped.values()]


@pytest.mark.parametrize("what", ["record", "state"])
def test_a_partition_that_stops_at_what_it_cannot_read_keeps_no_traceback(what: str) -> None:
    store = FakeStore()
    scoring = stage_of(store, [view(0), view(1)])
    if what == "record":
        values = [encode(view(0)), b"no record"]
        scoring.consumer.records[LOG_TOPIC, 0] = records_of((LOG_TOPIC, 0), values, time_of)
    else:
        fence = encode_fence(Fence(LOG_ID, 0, 1, 0, {}))
        store.shards[0] = FakeShard(fence, {"L1": b"no state"})
        scoring.consumer.committed_offsets = {(LOG_TOPIC, 0): 1}
    scoring.turns(3)
    assert tracebacks_of_stopped(scoring) == [None]
