"""A shard that publishes latest scores: leads go through their bytes after every record, as they do through Redis."""

from collections.abc import Iterable, Mapping

import msgspec
import pytest

from leadscore.log.records import Award, Frame, LogRecord, Source, Tick
from leadscore.model.compile import compile_model
from leadscore.model.compiled import CompiledModel
from leadscore.model.definition import ModelDefinition
from leadscore.model.matching import Matcher
from leadscore.pipeline.score.latest_scores import LatestScores
from leadscore.pipeline.score.shard import Shard, leads_of
from leadscore.scoring.context import FoldContext, FoldSettings
from leadscore.scoring.latest_score import LatestScore, LeadGone, ScoreNews
from leadscore.scoring.simulation import LeadScore, score_line
from leadscore.scoring.state import LeadState, decode_state
from leadscore.store.fence import Fence
from tests.oracle import Plain
from tests.simulated import event_of


class LatestShard:
    """``topic`` is what a reader of the scores topic has at last, ``due`` when Redis says to look at a lead again.

    ``step`` ``None``: no scores topic. ``batch``: how many records are written at once.
    """

    def __init__(self, models: Iterable[ModelDefinition], step: float | None = 1.0, batch: int = 1) -> None:
        definitions = list(models)
        self.models: dict[int, CompiledModel] = {one.version: compile_model(one) for one in definitions}
        self._matcher = Matcher(definitions[0])
        self._version = definitions[0].version
        self._batch = batch
        self._settings = FoldSettings(recent_events=12)
        self.stored: dict[str, bytes | None] = {}
        self.due: dict[str, int] = {}
        self.topic: dict[str, LatestScore] = {}
        self.news: list[ScoreNews] = []
        self.ticks = self.offset = 0
        self.restart(step)

    def restart(self, step: float | None) -> None:
        """Another worker, on what is stored."""
        latest = None if step is None else LatestScores(step)
        fence = Fence("", self.offset - 1, self._version, 0, {})
        self.shard = Shard(0, None, fence, self.models.__getitem__, self._settings, latest)

    def apply(self, *events: Plain, at_ms: int | None = None) -> list[ScoreNews]:
        """One frame with these events; the log's time is that of the last one unless another is given."""
        awards: list[Award] = []
        for index, event in enumerate(events):
            award = self._matcher.award(event_of(event), 0, 1_000 * self.offset + index)
            assert award is not None, event
            awards.append(award)
        time_ms = awards[-1].occurred_at_ms if at_ms is None else at_ms
        return self.fold(Frame(self._version, [Source("website", "", 0)], awards), time_ms)

    def fold(self, record: LogRecord, time_ms: int) -> list[ScoreNews]:
        """Fold one record; what it is news of."""
        leads = self.shard.unknown_leads(leads_of(record))
        self.shard.load(leads, [self.stored.get(lead_id) for lead_id in leads])
        self.shard.fold(record, self.offset, time_ms)
        self.offset += 1
        if self.offset % self._batch == 0:
            self.write()
        news = list(self.shard.news)
        for one in news:
            if isinstance(one, LeadGone):
                self.topic.pop(one.lead_id, None)
            else:
                self.topic[one.lead_id] = one
        self.news += news
        return news

    def write(self) -> None:
        """The fenced write; nothing stays in memory."""
        write = self.shard.pending(0)
        self.shard.written(write)
        self.shard.trim(0)
        self.stored |= {lead_id: lead.state for lead_id, lead in write.leads.items()}
        self._note_due(write.due)

    def tick_until(self, until_ms: int) -> None:
        """Let time go on: every lead is looked at when it is due."""
        while (next_ms := min(self.due.values(), default=until_ms)) < until_ms:
            leads = sorted(lead_id for lead_id, at_ms in self.due.items() if at_ms <= next_ms)
            self.ticks += len(leads)
            self.fold(Tick(next_ms, leads), next_ms)

    def state(self, lead_id: str) -> LeadState | None:
        stored = self.stored.get(lead_id)
        return None if stored is None else decode_state(stored)

    def line(self, lead_id: str, at_ms: int) -> LeadScore:
        """The lead as ``explain`` has it, and ``simulate``."""
        model = self.models[self.shard.model_version]
        context = FoldContext(model, None, self.models.__getitem__, at_ms, self._settings)
        return score_line(lead_id, self.state(lead_id), context, at_ms)

    def _note_due(self, due: Mapping[str, int | None]) -> None:
        for lead_id, at_ms in due.items():
            if at_ms is None:
                self.due.pop(lead_id, None)
            else:
                self.due[lead_id] = at_ms


def shard_on(model: Plain, step: float | None = 1.0) -> LatestShard:
    return LatestShard([msgspec.convert(model, ModelDefinition)], step)


def assert_agrees(latest: LatestScore, line: LeadScore) -> None:
    """The record says what the line says of the same instant."""
    assert latest.as_of_ms == line.as_of_ms
    assert (latest.score, latest.engagement, latest.fit) == pytest.approx(
        (line.score, line.engagement, line.fit), abs=1e-9
    )
    assert (latest.grade, latest.band, latest.disqualified) == (line.grade, line.band, line.disqualified)
    assert {place.threshold: "in" if place.is_in else "out" for place in latest.thresholds} == line.thresholds
