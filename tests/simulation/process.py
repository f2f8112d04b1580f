"""One simulated worker process: the real ``Worker`` with both stages, on the Kafka in memory and a simulated store."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import ClassVar, cast

from leadscore.errors import WorkerStopped
from leadscore.events.decoder import Decoder
from leadscore.model.compiled import CompiledModel
from leadscore.ops.choices import Role
from leadscore.ops.health import Health
from leadscore.ops.metric_labels import RECORD_OUTCOMES
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.checks import StageChecks
from leadscore.pipeline.gauges import StageGauges
from leadscore.pipeline.kafka.clients import LOG_CONSUMER, PRODUCER, SOURCE_CONSUMER
from leadscore.pipeline.kafka.commit_policy import CommitPolicy
from leadscore.pipeline.kafka.commits import Commits
from leadscore.pipeline.kafka.deadline import DrainBudget
from leadscore.pipeline.kafka.outbound import Outbound
from leadscore.pipeline.kafka.records import Bounds, Partition
from leadscore.pipeline.kafka.refusals import Refusals
from leadscore.pipeline.match.dead_letters import DeadLetters
from leadscore.pipeline.match.stage import MatchParts, MatchStage
from leadscore.pipeline.score.publisher import Outputs
from leadscore.pipeline.score.stage import ScoreParts, ScoreStage
from leadscore.pipeline.steps import NoSteps
from leadscore.pipeline.stopping import Stopping
from leadscore.pipeline.worker import Worker, WorkerParts
from tests.memory_kafka.consumer import MemoryConsumer
from tests.memory_kafka.producer import MemoryProducer
from tests.simulation.outputs import outputs_of
from tests.simulation.outside import Killed, Outside
from tests.simulation.redis import SimulatedStore
from tests.simulation.site import DEAD_LETTERS, LOG, Site

DEAD_LETTER_SETTINGS = {**PRODUCER, "enable.gapless.guarantee": False}


class Counted:
    """The metrics of one process. Making them takes longer than most of what a process does: they are used again."""

    _unused: ClassVar[list[Metrics]] = []

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = tuple(topics)
        self.metrics = self._unused.pop() if self._unused else Metrics("simulated", list(self._topics))
        self._before = self._without_outcome()

    def give_back(self) -> None:
        """The process is over."""
        self._unused.append(self.metrics)

    @property
    def without_outcome(self) -> int:
        """Records that were consumed, and of which nothing says what became of them."""
        return self._without_outcome() - self._before

    def _without_outcome(self) -> int:
        match = self.metrics.match
        consumed = [match.records_consumed.labels(topic) for topic in self._topics]
        outcomes = [
            *(match.records_processed.labels(topic, outcome) for topic in self._topics for outcome in RECORD_OUTCOMES),
            *(match.records_reread.labels(topic) for topic in self._topics),
        ]
        return int(sum(one._value.get() for one in consumed) - sum(one._value.get() for one in outcomes))


class _Untold:
    """In place of gauges and checks: nobody looks."""

    def tell(self, *_: object, **__: object) -> None:
        pass


class Process:
    """A worker from its start to its end. ``skew_s`` is how wrong its clock is; of one role it has one stage."""

    def __init__(
        self, name: str, site: Site, outside: Outside, version: int, skew_s: float, role: Role = Role.ALL
    ) -> None:
        self.name = name
        self.version = version
        self.outside = outside
        self.counted = Counted(site.config.input_topics)
        self.metrics = self.counted.metrics
        self._site = site
        self.skew_s = skew_s
        self._budget = DrainBudget(site.config.drain_timeout_ms / 1000)
        self._models: dict[int, CompiledModel] = {}
        self._producers: list[MemoryProducer] = []
        self._consumers: list[MemoryConsumer] = []
        self._outbound = Outbound(self._producer(PRODUCER).as_producer)
        self.role = role
        self.match = self._match_stage() if role is not Role.SCORE else None
        self.score = self._score_stage() if role is not Role.MATCH else None
        self._worker = Worker(self._parts())
        self.is_over = False

    def turn(self) -> None:
        """One turn of the loop."""
        self._run(self._worker._turn)

    def stop(self) -> None:
        """End as by SIGTERM."""
        self._run(self._ended)

    def kill(self) -> None:
        """It is gone; what it had sent may arrive all the same."""
        self.outside.is_dead = self.is_over = True
        for producer in self._producers:
            producer.die(self.outside.some(len(producer)) if self.outside.happens("sent records arrive") else 0)
        if self.outside.happens("sent commits arrive"):
            for consumer in self._consumers:
                consumer.deliver_commits()

    def send_late(self) -> None:
        """What the process had handed over, and had not been sent when it died, arrives now; a part of it."""
        for producer in self._producers:
            producer.send_late(self.outside.some(len(producer)))

    @property
    def members(self) -> list[tuple[str, str]]:
        """Groups, and what it is called there."""
        return [(one.consumer_group_metadata().group, one.memberid()) for one in self._consumers]

    def _run(self, work: Callable[[], None]) -> None:
        try:
            self.outside.enter(self.skew_s)
            work()
        except Killed:
            self.kill()
        except WorkerStopped as why:
            self.outside.faults.append(f"it ends by itself: {why}")
            self._end()
        self._site.clock.skew_s = 0.0

    def _ended(self) -> None:
        self._worker._drain()
        self._worker._close()
        self.is_over = True

    def _end(self) -> None:
        """After an error the consumers leave their groups, and nothing is committed."""
        with suppress(Killed, WorkerStopped):
            self._worker._close()
        self.kill()

    # --- what a process is made of ---

    def _parts(self) -> WorkerParts:
        stages = ("match", "score")
        return WorkerParts(
            match=self.match,
            score=self.score,
            budget=self._budget,
            health=Health({}, 60.0),
            stopping=Stopping(),
            gauges=dict.fromkeys(stages, cast("StageGauges", _Untold())),
            checks=dict.fromkeys(stages, cast("StageChecks", _Untold())),
            renewals=(),
            kafka=None,
        )

    def _match_stage(self) -> MatchStage:
        config, metrics = self._site.config, self.metrics
        dead_letters = Outbound(self._producer(DEAD_LETTER_SETTINGS).as_producer)
        parts = MatchParts(
            config=config,
            matcher=self._site.versions[self.version].matcher,
            decoder=Decoder(None, config.max_record_bytes),
            mapped=None,
            outbound=self._outbound,
            dead_letters=DeadLetters(dead_letters, DEAD_LETTERS, config.match_group, metrics, lambda: None),
            metrics=metrics,
            budget=self._budget,
            topic_ids=partial(self._topic_ids, config.input_topics),
            log_bounds=self._bounds,
            steps=NoSteps(),
            refusals=Refusals(config.match_group, lambda _: {}, metrics.kafka),
        )
        commits = Commits(CommitPolicy(config.commit_interval_ms / 1000))
        settings = {**SOURCE_CONSUMER, "partition.assignment.strategy": "range"}
        return MatchStage(parts, self._consumer(config.match_group, settings, commits).as_consumer, commits)

    def _score_stage(self) -> ScoreStage:
        config, metrics = self._site.config, self.metrics
        parts = ScoreParts(
            config=config,
            store=SimulatedStore(self._site.redis, self.outside),
            outbound=self._outbound,
            outputs=self._outputs(),
            model_of_version=self._model_of_version,
            model_at_hand=self._model_of_version,
            log_topic_id=lambda: self._topic_ids([LOG])[LOG],
            log_bounds=self._bounds,
            metrics=metrics,
            budget=self._budget,
            steps=NoSteps(),
            beat=lambda: None,
            refusals=Refusals(config.score_group, lambda _: {}, metrics.kafka),
            leader_epochs=self._leader_epochs,
        )
        commits = Commits(CommitPolicy(config.commit_interval_ms / 1000))
        settings = {**LOG_CONSUMER, "partition.assignment.strategy": "cooperative-sticky"}
        return ScoreStage(parts, self._consumer(config.score_group, settings, commits).as_consumer, commits)

    def _outputs(self) -> Outputs:
        name = f"transactions-of-{self.name}"
        settings = {"enable.idempotence": True, "transactional.id": name, "delivery.report.only.error": True}
        return outputs_of(
            self._site.config, self.metrics, self._outbound, name, lambda: self._producer(settings).as_producer
        )

    def _producer(self, settings: Mapping[str, object]) -> MemoryProducer:
        self._producers.append(MemoryProducer(self._site.kafka, settings, self.outside))
        return self._producers[-1]

    def _consumer(self, group: str, settings: Mapping[str, object], commits: Commits) -> MemoryConsumer:
        made = MemoryConsumer(self._site.kafka, group, settings, commits.on_commit, self.outside)
        self._consumers.append(made)
        return made

    def _topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        self.outside.before("admin.topic_ids")
        return {topic: self._site.kafka.topics[topic].topic_id for topic in topics}

    def _bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        self.outside.before("admin.log_bounds")
        return {partition: self._site.kafka.bounds(partition) for partition in partitions}

    def _leader_epochs(self, places: Mapping[Partition, int]) -> dict[Partition, int]:
        self.outside.before("admin.leader_epochs")
        return self._site.kafka.leader_epochs(places)

    def _model_of_version(self, version: int) -> CompiledModel:
        """As of the models topic: a version that is not known here is asked for."""
        if version not in self._models:
            self.outside.before("admin.model")
            self._models[version] = self._site.model_of_version(version)
        return self._models[version]
