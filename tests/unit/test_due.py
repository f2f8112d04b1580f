"""When to look at a lead again: the entries that ticks are made of."""

from math import log2
from typing import cast

import msgspec
import pytest

from leadscore.log.records import Tick
from leadscore.model.compile import compile_model
from leadscore.model.definition import ModelDefinition
from leadscore.pipeline.score.shard import Shard
from leadscore.pipeline.score.shards import OwnedShard
from leadscore.scoring.context import FoldContext, FoldSettings
from leadscore.scoring.crossing import Crossing
from leadscore.scoring.fold import fold_tick
from tests.oracle import DAY_MS
from tests.unit.semantics import LEAD, ShardOfOne, at, model_of, rule, visit

WITH = model_of({"view": rule(70, decay={"half_life": "30d"})}, thresholds={"mql": {"enter": 65, "exit": 50}})
WITHOUT = {**model_of({"view": rule(70, decay={"half_life": "30d"})}), "version": 2}

EXIT_MS = at(10) + round(log2((70 / 2 ** (1 / 3) + 70) / 50) * 30 * DAY_MS)
"""After views on days 0 and 10."""


def test_a_lead_whose_threshold_is_gone_is_not_due_for_ever() -> None:
    lead = ShardOfOne(WITH, WITHOUT)
    lead.apply(1, visit("e1", 0))
    shard = lead._shard
    write = shard.pending(0)
    assert list(write.due) == [LEAD]
    shard.written(write)
    lead.apply(2, visit("e2", 1))
    shard.written(shard.pending(0))
    assert shard.fold(Tick(at(20), [LEAD]), 2, at(20)) == []
    assert shard.pending(0).due == {LEAD: None}


def test_a_tick_older_than_the_latest_record_of_a_lead_changes_nothing() -> None:
    """It was appended before the record, and lay behind it in the log."""
    model = compile_model(msgspec.convert(WITH, ModelDefinition))
    for tick_day in (0, 1, 9.99, 10):
        lead = ShardOfOne(WITH)
        lead.apply(1, visit("e1", 0), visit("e2", 10))
        before = lead.state()
        context = FoldContext(model, None, lambda _: model, at(10), FoldSettings())
        state, left = fold_tick(lead.state(), LEAD, at(tick_day), context)
        assert state is not None
        assert (msgspec.structs.replace(state, due_ms=None), left) == (msgspec.structs.replace(before, due_ms=None), [])
        assert state.due_ms == pytest.approx(EXIT_MS, abs=2)


def test_after_a_late_tick_the_lead_leaves_when_it_would_have_left_without() -> None:
    leaves = []
    for ticks in ([60.0], [3.0, 60.0], [9.99, 10.0, 60.0]):
        lead = ShardOfOne(WITH)
        lead.apply(1, visit("e1", 0), visit("e2", 10))
        outputs = [output for day in ticks for output in lead._shard.fold(Tick(at(day), [LEAD]), lead._offset, at(60))]
        leaves.append([(output.id, output.occurred_at_ms) for output in outputs if isinstance(output, Crossing)])
    assert leaves[0]
    assert leaves[0] == leaves[1] == leaves[2]


def test_after_an_outage_the_look_at_every_lead_begins_again() -> None:
    """The place in a page of Redis means nothing to the server that took over."""
    shard = cast("Shard", None)
    in_the_middle, not_at_all = OwnedShard(shard, 0, review_cursor=17), OwnedShard(shard, 0)
    for owned in (in_the_middle, not_at_all):
        owned.begin_review_again()
    assert (in_the_middle.review_cursor, not_at_all.review_cursor) == (0, None)
