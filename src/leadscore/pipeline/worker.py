"""The worker: both stages, or one, in one loop, until told to end; then it drains and closes (design 2.2, 2.8).

One thread changes everything. A turn of the loop is a turn of the match stage and a turn of the score stage; how long
their polls wait, and when the score stage sits out, is the business of ``pace``. ``build`` puts a worker together.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import time

from leadscore.errors import LeadscoreError, WorkerStopped
from leadscore.ops.health import Health
from leadscore.ops.services import KAFKA
from leadscore.pipeline.checks import MATCH, SCORE, StageChecks
from leadscore.pipeline.gauges import StageGauges
from leadscore.pipeline.kafka.clocks import why_went_back
from leadscore.pipeline.kafka.deadline import DrainBudget
from leadscore.pipeline.kafka.renewal import ConsumerRenewal
from leadscore.pipeline.kafka.watch import KafkaWatch
from leadscore.pipeline.match.stage import MatchStage
from leadscore.pipeline.pace import Pace
from leadscore.pipeline.score.stage import ScoreStage
from leadscore.pipeline.stopping import Stopping

_log = logging.getLogger(__name__)

GAUGES_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What a worker runs. A process of one role has one stage; ``gauges`` and ``checks`` are by the stage's name."""

    match: MatchStage | None
    score: ScoreStage | None
    budget: DrainBudget
    health: Health
    stopping: Stopping
    gauges: Mapping[str, StageGauges]
    checks: Mapping[str, StageChecks]
    renewals: Sequence[ConsumerRenewal]
    kafka: KafkaWatch | None
    """``None`` for an embedded broker, which does not say what cluster it is, and cannot be away."""


def tell_failure(failure: Exception, health: Health) -> None:
    """Why the worker cannot go on: not alive any more, and one line in the log. A bug's has the stack."""
    health.fail(str(failure) or type(failure).__name__)
    if isinstance(failure, LeadscoreError):
        _log.critical("worker_stopped", extra={"error": type(failure).__name__, "detail": str(failure)})
    else:
        _log.critical("worker_crashed", exc_info=failure)


class Worker:
    """The stages of one process. ``run`` returns when it is told to stop and everything under way is committed."""

    def __init__(self, parts: WorkerParts) -> None:
        self._parts = parts
        self._match = parts.match
        self._score = parts.score
        self._gauges_at_s = 0.0
        self._latest_s = 0.0
        self._pace = Pace(has_match=parts.match is not None)

    def stop(self) -> None:
        """Finish after this turn. Safe in a signal handler."""
        self._parts.stopping.ask()

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._parts.stopping.is_asked_for

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Turn until told to stop (or ``until`` says so), then drain, commit and leave the groups."""
        with ExitStack() as ending:
            ending.callback(self._close)
            try:
                while not self.is_stopping and not until():
                    self._turn()
                self._drain()
            except Exception as failure:
                # Before anything is closed, which may take its time: probes and the log say at once what happened.
                self._parts.stopping.begin_end(has_failed=True)
                tell_failure(failure, self._parts.health)
                raise

    def _turn(self) -> None:
        now_s, pace = self._now_s(), self._pace
        reached_ms = None
        if self._match is not None:
            matched = self._match.step(now_s, pace.match_waits(now_s, has_batch=self._match.has_batch))
            reached_ms = self._match.reached_ms(now_s)
            coming_back = 0 if self._score is None else self._score.coming_back(self._match.logged)
            pace.matched(matched, now_s - reached_ms / 1000, now_s, coming_back)
        if self._score is not None and pace.is_time_to_score(now_s):
            scored = self._score.step(now_s, pace.score_waits(now_s), reached_ms)
            pace.scored(scored, now_s, has_more=self._score.has_more)
            if not self._score.has_more:
                self._score.lead_count.step(now_s)
        self._parts.health.beat()
        if now_s - self._gauges_at_s >= GAUGES_EVERY_S:
            self._gauges_at_s = now_s
            self._tell_gauges()

    def _now_s(self) -> float:
        """This machine's time; ``WorkerStopped`` where its clock went back: events of now would be of the future."""
        now_s = time()
        if (why := why_went_back(now_s, self._latest_s)) is not None:
            raise WorkerStopped(why)
        self._latest_s = max(self._latest_s, now_s)
        return now_s

    def _drain(self) -> None:
        self._parts.budget.begin_end()
        self._parts.stopping.begin_end(has_failed=False)
        _log.info("draining", extra={"budget_s": self._parts.budget.budget_s})
        for _, stage in self._stages():
            stage.drain()

    def _close(self) -> None:
        """Leave the groups; what is not committed by now is done again by the next owner."""
        self._parts.budget.begin_end()
        with ExitStack() as closing:
            for _, stage in self._stages():
                closing.callback(stage.subscription.close)
        _log.info("stopped")

    def _stages(self) -> Iterator[tuple[str, MatchStage | ScoreStage]]:
        if self._match is not None:
            yield MATCH, self._match
        if self._score is not None:
            yield SCORE, self._score

    # --- what operators see ---

    def _tell_gauges(self) -> None:
        kafka = self._parts.kafka
        if kafka is not None:
            kafka.look()
            self._parts.health.set_check(KAFKA, kafka.outage is None, kafka.words)
        is_kafka_away = kafka is not None and kafka.outage is not None
        for renewal in self._parts.renewals:
            renewal.look(is_kafka_away=is_kafka_away)
        for name, stage in self._stages():
            is_paused = stage.is_paused or is_kafka_away
            self._parts.gauges[name].tell(stage.stopped, stage.outage, is_paused=is_paused)
            self._parts.checks[name].tell(stage)
