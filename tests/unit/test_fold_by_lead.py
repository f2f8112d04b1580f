"""Frames folded lead by lead give what they give one after the other: states, outputs, outbox, fence and counts."""

from collections.abc import Sequence
from random import Random

import pytest

from leadscore.log.records import ERASE, MERGE, RETRACT, Award, Frame, OldFrame, Source
from leadscore.model.compile import compile_model
from leadscore.model.compiled import CompiledModel
from leadscore.model.matching import Matcher
from leadscore.pipeline.score.frames import FrameRun, PlacedFrame
from leadscore.pipeline.score.latest_scores import LatestScores
from leadscore.pipeline.score.shard import Shard
from leadscore.scoring.context import FoldSettings
from leadscore.scoring.outputs import Output
from leadscore.store.fence import Fence
from leadscore.store.shard import ShardWrite
from tests.bench import peers_workload
from tests.bench.features import SPAN

LEADS, EVENTS, FRAME_AWARDS = 12, 600, 40
SOURCES = [Source("website", "id", 0), Source("email", "id", 0, leader_epoch=4)]
MODELS = {version: compile_model(peers_workload.model_definition()) for version in (1, 2)}


def awards(seed: int) -> list[Award]:
    """Of two source partitions; now and then a retraction, and an event that has come before."""
    random, matcher = Random(seed), Matcher(peers_workload.model_definition())
    made: list[Award] = []
    for offset, event in enumerate(peers_workload.events(random, EVENTS, LEADS, SPAN)):
        award = matcher.award(event, offset % 2, offset)
        assert award is not None
        if made and random.random() < 0.05:
            earlier = random.choice(made)
            made.append(command(RETRACT, offset, earlier.lead_id, target=earlier.event_id))
        elif made and random.random() < 0.05:
            made.append(_at(random.choice(made), offset))
        else:
            made.append(award)
    return made


def _at(award: Award, offset: int) -> Award:
    return Award(offset % 2, offset, award.lead_id, award.event_id, award.type, award.occurred_at_ms, None, award.rules)


def command(kind: str, offset: int, lead_id: str, *, target: str | None = None, into: str | None = None) -> Award:
    return Award(
        offset % 2, offset, lead_id, f"c{offset}", kind, SPAN.end_ms + offset, None, [], [], target, None, into
    )


def placed(made: Sequence[Award], *, is_old: bool = False) -> list[PlacedFrame]:
    """Frames; the fourth comes a second time, and the version changes before the last third."""
    kind = OldFrame if is_old else Frame
    parts = [made[first : first + FRAME_AWARDS] for first in range(0, len(made), FRAME_AWARDS)]
    parts.insert(5, parts[3])
    return [
        PlacedFrame(offset, SPAN.end_ms + offset, kind(1 if 3 * offset < 2 * len(parts) else 2, SOURCES, list(part)))
        for offset, part in enumerate(parts)
    ]


def run_of(frames: Sequence[PlacedFrame]) -> FrameRun:
    run = FrameRun()
    for frame in frames:
        run.add(frame)
    return run


def shard(latest: LatestScores | None = None) -> Shard:
    def model_of_version(version: int) -> CompiledModel:
        return MODELS[version]

    fence = Fence("log-1", -1, 0, 0, {}, "writer")
    empty = Shard(0, None, fence, model_of_version, FoldSettings(recent_events=20), latest)
    lead_ids = [f"lead-{number:07d}" for number in range(LEADS)]
    empty.load(lead_ids, [None] * LEADS)
    return empty


def one_by_one(shard: Shard, frames: Sequence[PlacedFrame]) -> list[list[Output]]:
    return [shard.fold(frame, offset, log_time_ms) for offset, log_time_ms, frame in frames]


def left(shard: Shard) -> tuple[ShardWrite, object, int]:
    return shard.pending(0), shard.take_counts(), shard.offset


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("is_old", [False, True])
def test_frames_give_the_same_lead_by_lead(seed: int, *, is_old: bool) -> None:
    frames = placed(awards(seed), is_old=is_old)
    expected, actual = shard(), shard()
    outputs = one_by_one(expected, frames)
    assert actual.can_fold_by_lead(run_of(frames))
    assert actual.fold_by_lead(run_of(frames)) == outputs
    assert left(actual) == left(expected)
    assert sum(map(len, outputs)) > LEADS


def test_frames_give_the_same_in_several_parts() -> None:
    frames = placed(awards(7))
    expected, actual = shard(), shard()
    outputs = one_by_one(expected, frames)
    first = 5
    assert actual.fold_by_lead(run_of(frames[:first])) + actual.fold_by_lead(run_of(frames[first:])) == outputs
    assert left(actual) == left(expected)


@pytest.mark.parametrize("kind", [ERASE, MERGE])
def test_frames_in_which_a_lead_ends_are_folded_one_after_the_other(kind: str) -> None:
    made = awards(1)
    made[50] = command(kind, 50, made[49].lead_id, into=made[0].lead_id)
    assert not shard().can_fold_by_lead(run_of(placed(made)))


def test_frames_of_an_alias_are_folded_one_after_the_other() -> None:
    made = awards(1)
    merge = command(MERGE, 0, made[5].lead_id, into="lead-0000000" if made[5].lead_id != "lead-0000000" else "other")
    folded = shard()
    folded.load(["other"], [None])
    folded.fold(Frame(1, SOURCES, [merge]), 0, SPAN.end_ms)
    frames = [PlacedFrame(offset + 1, time_ms, frame) for offset, time_ms, frame in placed(made[1:])]
    assert not folded.can_fold_by_lead(run_of(frames))


def test_frames_are_folded_one_after_the_other_where_each_is_news_of_the_scores_topic() -> None:
    assert not shard(LatestScores(1.0)).can_fold_by_lead(run_of(placed(awards(1))))
