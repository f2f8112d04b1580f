"""A whole deployment. One seed decides every turn, fault and loss; in the end it must be as if nothing had happened.

feed      records come while workers turn, die, are held and go on, and while Redis and the log lose
settle    nothing goes wrong any more; whatever is left is matched, folded, published and committed
verdict   what is stored and published is compared with what came in (``verdict``, ``people_verdict``)
"""

from collections import Counter
from random import Random

from leadscore.log.records import MERGE
from leadscore.pipeline.kafka.records import Partition
from tests.memory_kafka.broker import Broker
from tests.oracle import Plain
from tests.random_people import ALL_RECENT, END_MS, People, next_version, people
from tests.simulation.clock import Clock
from tests.simulation.fleet import Fleet
from tests.simulation.inputs import Inputs
from tests.simulation.losses import Losses
from tests.simulation.outside import End
from tests.simulation.people_verdict import check_people
from tests.simulation.plain_fold import logged, plain_fold
from tests.simulation.plan import Plan, draw
from tests.simulation.redis import MemoryRedis
from tests.simulation.site import COMMANDS, CROSSINGS, DEAD_LETTERS, LOG, SCORES, SOURCES, Site, config_of
from tests.simulation.verdict import (
    Violation,
    check_conserved,
    check_dead_letters,
    check_latest_scores,
    check_published,
    check_states,
    id_of,
    published_crossings,
)

DAY_S = 86_400.0
MOST_ROUNDS = 300
"""Far more than anything takes to settle."""
QUIET_ROUNDS = 3
"""After these without any progress nothing more will happen, unless workers wait for something."""
STOPPED_ROUNDS = 6
"""After these an operator looks: workers look at what has stopped every half minute."""


class World:
    """One deployment. ``trace`` has a line for whatever happened, if it is kept."""

    def __init__(self, seed: int, *, traced: bool = False) -> None:
        self.random = Random(seed)
        self.trace: list[str] = []
        self._is_traced = traced
        self.plan: Plan = draw(self.random)
        self.people: People = people(self.random)
        self.clock = Clock(END_MS / 1000 + 2 * DAY_S)
        self.site = self._new_site()
        self.inputs = Inputs(self.random, self.site.kafka)
        self.fleet = Fleet(self.random, self.plan, self.site, self.say)
        self.losses = Losses(self.random, self.site, self.say, self.fleet.counts)
        self.turns = 0
        self.say(str(self.plan))

    @property
    def counts(self) -> Counter[str]:
        return self.fleet.counts

    def say(self, what: str) -> None:
        if self._is_traced:
            self.trace.append(f"{self.clock.now_s - END_MS / 1000:12.3f} {what}")

    def __enter__(self) -> None:
        """No thread of a process, and no metrics in use, outlive the block."""

    def __exit__(self, *_: object) -> None:
        self.fleet.end()

    def live(self) -> None:
        """Let everything come, with all that goes wrong meanwhile, and check what became of it."""
        records = self._records()
        if self.plan.recreates_source:
            half = self.random.randrange(len(records))
            self._feed(records[:half])
            self._settle()
            self._recreate_source()
            records = records[half:]
        self.live_through(records)

    def live_through(self, records: list[Plain], *, erased: frozenset[str] = frozenset()) -> None:
        """Let these come as well."""
        self._feed(records)
        self._settle()
        self.check(erased=erased)

    def _records(self) -> list[Plain]:
        """Those of the people. With two versions of the model none comes twice: the first would decide which counts."""
        records = self.people.records
        if not self.plan.changes_model:
            return list(records)
        return list({(record["type"], record["event_id"]): record for record in records}.values())

    def check(self, *, erased: frozenset[str] = frozenset()) -> None:
        """Everything is as if nothing had gone wrong."""
        log = logged(self.site)
        fold = plain_fold(self.site, log)
        check_states(self.site, fold)
        check_published(self.site, fold)
        if self.plan.shape.has_scores:
            check_latest_scores(self.site, fold)
        check_dead_letters(self.site, self.inputs)
        check_people(self.site, self.people, self.inputs, log, erased)
        check_conserved(self.fleet.running)
        self._count()

    def _count(self) -> None:
        """What there was of everything, for the summary."""
        came = [came.record["type"] for came in self.inputs.came if came.record is not None]
        self.counts["events"] = len(came)
        self.counts["merges"] = came.count(MERGE)
        self.counts["people"] = len(self.people.persons)
        self.counts["dead letters"] = len(self.inputs.poison())
        self.counts["crossings"] = len(set(map(id_of, published_crossings(self.site))))

    def _new_site(self) -> Site:
        plan = self.plan
        kafka = Broker(self.clock.now_ms)
        for topic in (*SOURCES, CROSSINGS, DEAD_LETTERS, SCORES):
            kafka.create(topic, 2)
        kafka.create(COMMANDS, 1)
        kafka.create(LOG, plan.shape.partitions, has_append_time=True)
        scoring = self.people.scoring
        config = config_of(plan.shape, scoring.settings.recent_events)
        return Site(config, kafka, MemoryRedis(), self.clock, {1: scoring})

    # --- feed ---

    def _feed(self, records: list[Plain]) -> None:
        waiting = list(records)
        poison = self.plan.poison
        model_change = self.random.randrange(len(waiting) + 1) if self.plan.changes_model else -1
        while waiting:
            if self.random.random() < 0.2:
                self._send(waiting)
                if poison:
                    poison -= 1
                    self.inputs.send_poison()
            if len(waiting) <= model_change:
                model_change = -1
                self._change_model()
            self._step()

    def _send(self, waiting: list[Plain]) -> None:
        for _ in range(self.random.randrange(1, 4)):
            if waiting:
                self.inputs.send(waiting.pop())

    def _change_model(self) -> None:
        """Processes that start from now on bring another version; the others go on with theirs."""
        version = max(self.site.versions) + 1
        self.site.versions[version] = next_version(version, knows_all=self.people.scoring is ALL_RECENT)
        self.fleet.version = version
        self.say(f"version {version} of the model is published")

    def _step(self) -> None:
        """Something happens, then a process turns."""
        self.clock.now_s += self.random.choice((0.001, 0.05, 1.0, 6.0))
        self._trouble()
        self._supervise()
        self._turn()

    def _trouble(self) -> None:
        plan, draw_one = self.plan, self.random.random
        if draw_one() < plan.losses:
            self.losses.lose_writes()
        if draw_one() < plan.total_losses:
            self.losses.lose_all()
        if draw_one() < plan.retention:
            self.losses.retain_less()
        if draw_one() < plan.input_losses and not self.fleet.held:
            self._lose_end_of_input()
        if self.site.redis.late and draw_one() < 0.3:
            self.say("a late write arrives")
            self.site.redis.take_late()
        if draw_one() < 0.02:
            self.losses.restore()
        if draw_one() < 0.02:
            self.clock.now_s += self.random.choice((60.0, 3_600.0, DAY_S))

    def _supervise(self) -> None:
        fleet, draw_one = self.fleet, self.random.random
        if not fleet.running or ((len(fleet.running) < self.plan.processes or not fleet.is_whole) and draw_one() < 0.3):
            fleet.start()
        if draw_one() < 0.01:
            fleet.stop()
        if fleet.held and draw_one() < 0.15:
            fleet.let_go()
        if draw_one() < (0.3 if fleet.held else 0.1):
            fleet.expel_one_of_the_gone()
        if draw_one() < self.plan.holds / 10 and fleet.running:
            fleet.cut_off()
        if draw_one() < 0.1:
            fleet.send_late()
        if draw_one() < 0.05:
            fleet.time_out_transactions()

    def _turn(self) -> None:
        if not self.fleet.running:
            self.fleet.start()
        chance = self.random.random()
        if chance < self.plan.kills:
            end = End.KILL
        elif chance < self.plan.kills + self.plan.holds:
            end = End.HOLD
        else:
            end = End.NONE
        self.turns += 1
        self.fleet.turn(end)

    # --- settle ---

    def _settle(self) -> None:
        """Let everything end; then let time pass, so that leads leave by it, and let that end as well."""
        self.fleet.calm()
        while self.fleet.held:
            self.fleet.let_go()
        self.fleet.send_late()
        self.site.redis.take_late()
        self.fleet.bury()
        self.until_settled()
        for _ in range(self.random.choice((1, 2))):
            self.clock.now_s += self.random.choice((DAY_S, 9 * DAY_S, 40 * DAY_S))
            self.say("days pass")
            self.until_settled()
        self.fleet.resume_trouble()

    def until_settled(self) -> None:
        """Round after round, until nothing happens in some of them and nothing is left to do."""
        quiet, before = 0, None
        for _ in range(MOST_ROUNDS):
            self.round()
            now = self._progress()
            quiet = quiet + 1 if now == before else 0
            before = now
            if quiet < QUIET_ROUNDS:
                continue
            if self._is_settled():
                return
            self.fleet.replace_stopped()
            if quiet >= QUIET_ROUNDS + STOPPED_ROUNDS and self.losses.to_restore:
                self.losses.restore()
        raise Violation(f"it does not settle: {self._unsettled()}")

    def round(self) -> None:
        """Every process turns, some seconds apart: so often does a worker look at what is due."""
        self.clock.now_s += 6.0
        while not self.fleet.is_whole:
            self.fleet.start()
        for process in list(self.fleet.running):
            self.turns += 1
            self.fleet.turn_of(process)

    def committed_log_offsets(self) -> dict[Partition, int]:
        """Where the score group would go on."""
        committed = self.site.kafka.group(self.site.config.score_group).committed
        return {name: note.offset for name, note in committed.items()}

    def _progress(self) -> object:
        kafka = self.site.kafka
        return (
            [self.site.redis.fence(number) for number in range(self.plan.shape.partitions)],
            [log.high for topic in kafka.topics.values() for log in topic.partitions],
            [group.committed.copy() for group in kafka.groups.values()],
        )

    def _is_settled(self) -> bool:
        return not self.losses.to_restore and not any(self._unsettled())

    def _unsettled(self) -> tuple[list[str], list[str]]:
        """Source partitions that are not committed to their ends, and shards that are not."""
        kafka, config = self.site.kafka, self.site.config
        matched, scored = kafka.group(config.match_group).committed, kafka.group(config.score_group).committed
        sources = [
            f"{name} is committed to {matched.get(name)}, its end is {kafka.log_of(name).high}"
            for name in self.inputs.partitions()
            if (matched[name].offset if name in matched else 0) < kafka.log_of(name).high
        ]
        shards = []
        for name in kafka.partitions_of(LOG):
            committed = scored[name].offset if name in scored else 0
            applied = self.site.redis.applied(name[1])
            log = kafka.log_of(name)
            last = max((offset for offset, _ in log.committed_records()), default=-1)
            # A gap may be accepted to the beginning of an empty log, beyond the end of a transaction.
            if committed != applied + 1 or committed not in (last + 1, max(last + 1, log.low)):
                shards.append(f"{name} is committed to {committed}, applied to {applied}, its last record is {last}")
        return sources, shards

    def _lose_end_of_input(self) -> None:
        """A loss of power takes all workers, and of one input what its broker had not on its disk."""
        self.fleet.lose_power()
        place = self.random.choice([name for topic in SOURCES for name in self.site.kafka.partitions_of(topic)])
        committed = self.site.kafka.group(self.site.config.match_group).committed.get(place)
        lost = self.inputs.lose_end(place, 0 if committed is None else committed.offset)
        self.counts["lost inputs"] += lost
        self.say(f"{place} loses {lost} records at its end")

    def _recreate_source(self) -> None:
        """A topic of events is deleted and made again, as an operator would: with no worker running."""
        self.fleet.stop_all()
        self.fleet.bury()
        topic = self.random.choice(SOURCES)
        self.site.kafka.recreate(topic)
        self.say(f"topic {topic} is recreated")
