"""Other systems under the kills that leadscore is under: ``make faults-peers KILLS=10 SEED=7 PEERS="--only redis"``.

Theory of operation. Every system scores the same events, which arrive while its process is killed (SIGKILL) and started
again. When it dies is decided by its own progress: each life has its share of the events, and ends as soon as the
process says that it has done a number of them that is drawn from the seed, and some milliseconds more. Events go on
arriving until then. A kill has hit work if at that moment not everything that had arrived was committed. No event is
sent twice. The judge sees only what comes out, as a subscriber with ``read_committed`` does, so it is the same for all:

- all points are whole, in groups that reach no maximum, and everything occurs at one instant: a lead's score is the
  number of its events, whatever their order;
- that is beyond the threshold for every lead, so each enters once: more is a doubled crossing, less a missing one.
  Leads begin one after the other, so that some enter in every life;
- at the end several events take ``BACK`` points each from every lead, until it leaves. The score of that crossing, and
  which of them caused it, say what the lead's events were worth: less than they are is lost, more is doubled.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import fastavro
import msgspec
import yaml
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.bench import peers_workload
from tests.bench.clock import say
from tests.bench.peers.figures import Workload
from tests.bench.peers.inputs import PARTITIONS, Input, Topics
from tests.bench.peers.installs import NotAvailable
from tests.bench.peers.running import Bench, Process, Servers, total
from tests.bench.peers.scoring import MARKS
from tests.bench.peers.systems import SYSTEMS, Place, System, Worker, _kafka_streams, _module, _python
from tests.checked_producer import CheckedProducer
from tests.deployment import now_ms
from tests.offsets import committed_of, end_of
from tests.servers import CACHE, ROOT, redis_kinds, start_kafka, start_redis, wait_until
from tests.unit.registry_stub import RegistryStub, registry_stub

PAGE = ROOT / "docs" / "promise.md"
BEGIN, END = "<!-- peers: begin, written by make faults-peers -->\n", "<!-- peers: end -->\n"
VIEWS, OPENS = 30, 24
BACK, BACK_TIMES = 30, 8
WORTH = VIEWS + OPENS
SESSION_MS = 6_000
LEAD_SPAN = 0.3
"""The share of all events within which those of one lead come."""
PAUSE_S = 0.02
"""Between looks at how far a worker is that is going to be killed."""
PIECES = 50
"""In which the second half of the events of a life arrives."""
LATEST_KILL = 0.8
"""The share of the events of a life after which it ends at the latest."""
LONGEST_MORE_S = 0.05
"""From when enough is done to the kill: else it would always come when a batch ends, which is when a worker tells."""
MARKED = 20
"""Events after which a worker tells again how far it is."""
QUIET_S, AT_WORK_S, DONE_S = 12.0, 120.0, 300.0
FASTER = f"session.timeout.ms={SESSION_MS}\n"
PEERS: Mapping[str, System] = {
    "leadscore": SYSTEMS["leadscore-pure"]._replace(title="leadscore, default mode"),
    "leadscore-transactional": SYSTEMS["leadscore-pure"]._replace(title="leadscore, transactional mode"),
    "kafka-streams-eos": SYSTEMS["kafka-streams-eos"]._replace(workers=_kafka_streams("exactly_once_v2", FASTER)),
    "kafka-streams": SYSTEMS["kafka-streams"]._replace(workers=_kafka_streams("at_least_once", FASTER)),
    "quix": SYSTEMS["quix"],
    "redis": SYSTEMS["redis"],
    "naive": System("INCRBYFLOAT, sixty lines", _python, _module("naive_worker")),
}


class Outcome(NamedTuple):
    """What a subscriber saw of one system."""

    title: str
    kills: int
    hits: int
    events: int
    leads: int
    lost: int
    doubled: int
    wrong: int
    missing_crossings: int
    doubled_crossings: int

    @property
    def cells(self) -> tuple[str, ...]:
        """For the page."""
        return (self.title, *(f"{figure:,}" for figure in self[1:]))


HEAD = (
    "System",
    "Kills",
    "While at work",
    "Events",
    "Leads",
    "Events lost",
    "Events doubled",
    "Wrong scores",
    "Crossings missing",
)
HEADS = (*HEAD, "Crossings doubled")


class Feed:
    """Sends the events of one run, each once."""

    def __init__(self, bootstrap: str, prefix: str, leads: int, random: Random) -> None:
        self.leads = [f"lead-{number:04d}" for number in range(leads)]
        self._producer = CheckedProducer({"bootstrap.servers": bootstrap, "linger.ms": 5, "log_level": 2})
        self._prefix, self._random, self._at_ms = prefix, random, now_ms()
        self._schema: Any = fastavro.parse_schema(msgspec.json.decode(peers_workload.SCHEMA))
        types = ["website.page_view"] * VIEWS + ["email.open"] * OPENS
        begins = {lead_id: random.uniform(0.0, 1.0 - LEAD_SPAN) for lead_id in self.leads}
        waiting = [(lead_id, event_type) for lead_id in self.leads for event_type in types]
        random.shuffle(waiting)
        self.waiting = sorted(waiting, key=lambda one: begins[one[0]] + random.uniform(0.0, LEAD_SPAN))
        self.taken: dict[str, int] = {}

    def send(self, number: int) -> None:
        """The next ones that are waiting."""
        for lead_id, event_type in self.waiting[:number]:
            self._send(lead_id, event_type)
        del self.waiting[:number]
        self._producer.flush()

    def send_last(self) -> None:
        """The events that take points from each lead, one after the other."""
        for times in range(1, BACK_TIMES + 1):
            for lead_id in self.leads:
                self.taken[self._send(lead_id, "email.unsubscribe")] = BACK * times
        self._producer.flush()

    def _send(self, lead_id: str, event_type: str) -> str:
        event_id = str(UUID(int=self._random.getrandbits(128)))
        event = {"event_id": event_id, "lead_id": lead_id, "occurred_at": self._at_ms, "type": event_type, "path": "/"}
        value = BytesIO()
        value.write(bytes(5))
        fastavro.schemaless_writer(value, self._schema, event)
        self._producer.produce(f"{self._prefix}.{event_type.partition('.')[0]}", value.getvalue(), key=lead_id)
        return event_id


class Watch:
    """How far a system is, by its groups' offsets and what lies in its topics."""

    def __init__(self, bootstrap: str, group: str, sources: list[str]) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
        self._bootstrap, self._group, self._sources = bootstrap, group, sources

    def has_all_committed(self) -> bool:
        """Whether everything that has arrived is committed; leadscore's log is read by its score stage."""
        own = self._admin.list_topics(timeout=10).topics
        logs = [topic for topic in own if topic == f"{self._group}.log"]
        scored = self._committed_of(self._group, logs) if logs else 0
        return self._committed() == self._ends(self._sources) and scored == self._ends(logs)

    def wait_until_quiet(self) -> None:
        """Until every source record is committed, and then nothing has changed for a while."""
        wait_until(lambda: self._committed() == self._ends(self._sources), DONE_S, "all events to be committed")
        last, since_s = None, time.monotonic()
        while time.monotonic() < since_s + QUIET_S:
            own = [topic for topic in self._admin.list_topics(timeout=10).topics if topic.startswith(self._group)]
            state = self._ends(own)
            if state != last:
                last, since_s = state, time.monotonic()
            time.sleep(0.5)

    def _committed(self) -> int:
        """Of all source topics; the group of leadscore's match stage has a name of its own."""
        with suppress(KafkaException):  # a coordinator that is not ready yet
            groups = (self._group, f"{self._group}-match")
            return sum(self._committed_of(group, self._sources) for group in groups)
        return -1

    def _committed_of(self, group: str, of_topics: list[str]) -> int:
        settings = {"bootstrap.servers": self._bootstrap, "group.id": group, "log_level": 2}
        with closing(Consumer(settings)) as consumer:
            topics = consumer.list_topics(timeout=10).topics
            places = [TopicPartition(topic, number) for topic in of_topics for number in topics[topic].partitions]
            return sum(max(place.offset, 0) for place in committed_of(consumer, places))

    def _ends(self, topics: list[str]) -> int:
        settings = {"bootstrap.servers": self._bootstrap, "group.id": "ends", "log_level": 2}
        with closing(Consumer(settings)) as consumer:
            all_topics = consumer.list_topics(timeout=10).topics
            places = [TopicPartition(topic, number) for topic in topics for number in all_topics[topic].partitions]
            return sum(end_of(consumer, place) for place in places)


class Trial:
    """One system under one schedule."""

    def __init__(self, name: str, bench: Bench, folder: Path, registry: RegistryStub, options: argparse.Namespace):
        self._name, self._system, self._options = name, PEERS[name], options
        self._random = Random(options.seed)
        kafka, redis_server = bench.servers.kafka, bench.servers.redis
        self._topics = Topics(kafka.bootstrap)
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        self._place = Place(kafka.bootstrap, redis_server.url, f"trial-{uuid4().hex[:8]}", self._folder)
        prefix = f"input-{uuid4().hex[:8]}"
        self._feed = Feed(kafka.bootstrap, prefix, options.leads, self._random)
        self._source = _input(self._topics, prefix, self._folder, registry, len(self._feed.waiting))
        self._watch = Watch(kafka.bootstrap, self._place.group, self._source.topics)
        self._bench = bench
        self._hits = 0

    def run(self) -> Outcome:
        """Start, kill, start again; then let it end, and judge."""
        program = self._system.install()
        self._bench._prepare(self._system, program, self._source, self._place)
        events = len(self._feed.waiting)
        (worker,) = self._system.workers(program, self._source, self._place)
        worker = worker._replace(environ=worker.environ | self._more())
        of_a_life = events // (self._options.kills + 1)
        for _ in range(self._options.kills):
            self._let_work_and_kill(worker, of_a_life)
        process = Process(worker, self._folder)
        try:
            self._feed.send(len(self._feed.waiting))
            self._watch.wait_until_quiet()
            self._feed.send_last()
            self._watch.wait_until_quiet()
        finally:
            process.stop()
        return self._outcome(events + BACK_TIMES * len(self._feed.leads))

    def _let_work_and_kill(self, worker: Worker, events: int) -> None:
        """Half of the events are there when it begins, the others arrive while it works."""
        enough = self._random.randrange(1, round(LATEST_KILL * events))
        more_s = self._random.uniform(0.0, LONGEST_MORE_S)
        self._feed.send(events // 2)
        process = Process(worker, self._folder)
        try:
            done = self._until(enough, process, events - events // 2)
            time.sleep(more_s)
        finally:
            process.kill()
        self._hits += done > 0 and not self._watch.has_all_committed()

    def _until(self, enough: int, process: Process, arriving: int) -> int:
        """How much the worker says that it has done: enough, or all that was left for it."""
        deadline_s = time.monotonic() + AT_WORK_S
        done = 0
        while done < enough:
            if done > 1 and arriving > 0:
                piece = arriving // PIECES + 1
                self._feed.send(piece)
                arriving -= piece
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{self._name}: {done} of {enough} events done within {AT_WORK_S:.0f} s")
            done = _done(process)
            time.sleep(PAUSE_S)
        self._feed.send(arriving)
        return done

    def _more(self) -> dict[str, str]:
        more = {"SESSION_MS": str(SESSION_MS), "EVENTS": str(MARKS * MARKED)}
        if self._system.log:
            more |= {"LEADSCORE_KAFKA__SESSION_TIMEOUT_MS": str(SESSION_MS)}
        if self._name == "leadscore-transactional":
            more |= {"LEADSCORE_DELIVERY": "transactional", "LEADSCORE_INSTANCE": self._place.group}
        return more

    def _outcome(self, events: int) -> Outcome:
        seen = [msgspec.json.decode(value) for value in self._topics._values(self._place.crossings)]
        entered = Counter(one["lead_id"] for one in seen if one["direction"].lower() == "enter")
        left = Counter(one["lead_id"] for one in seen if one["direction"].lower() == "leave")
        off = [round(worth) - WORTH for worth in self._worths(seen).values()]
        crossings = [counts[lead_id] for counts in (entered, left) for lead_id in self._feed.leads]
        return Outcome(
            self._system.title,
            self._options.kills,
            self._hits,
            events,
            len(self._feed.leads),
            -sum(min(0, difference) for difference in off),
            sum(max(0, difference) for difference in off),
            sum(difference != 0 for difference in off),
            sum(count == 0 for count in crossings),
            sum(max(0, count - 1) for count in crossings),
        )

    def _worths(self, crossings: list[dict[str, Any]]) -> dict[str, float]:
        """What each lead's events were worth, of those that left at the end."""
        taken = {one["lead_id"]: (one, self._feed.taken.get(_cause(one))) for one in crossings}
        return {lead_id: one["score"] + points for lead_id, (one, points) in taken.items() if points is not None}

    def end(self) -> None:
        """Nothing is left."""
        self._topics.delete_all_of(self._place.group)
        shutil.rmtree(self._folder, ignore_errors=True)


def _cause(crossing: dict[str, Any]) -> str:
    """The id of the event, as leadscore or as the others name it."""
    return str(crossing["event_id"] if "event_id" in crossing else (crossing["trigger"] or {}).get("event_id"))


def _done(process: Process) -> int:
    """Events since it started, by its own account."""
    if process.metrics_port:
        return total(process.read_metrics(), "leadscore_records_processed_total")
    return process.last_mark()


def _input(topics: Topics, prefix: str, folder: Path, registry: RegistryStub, events: int) -> Input:
    """Empty topics, the schema and the model of the peers."""
    names = [f"{prefix}.{source}" for source in peers_workload.SOURCES]
    topics.create(dict.fromkeys(names, PARTITIONS))
    registry.put_schema(0, peers_workload.SCHEMA)
    schema, model = folder / "peers.avsc", folder / "peers.yaml"
    schema.write_text(peers_workload.SCHEMA)
    model.write_text(yaml.safe_dump(peers_workload.MODEL, sort_keys=False))
    return Input(Workload("peers", events, 0), names, [schema] * len(names), model, registry.url)


def outcomes(options: argparse.Namespace) -> Iterator[Outcome]:
    """Of one system after the other, each said when it is there."""
    with ExitStack() as stack:
        kafka = stack.enter_context(start_kafka())
        redis_server = stack.enter_context(start_redis(redis_kinds()[0]))
        registry = stack.enter_context(registry_stub())
        CACHE.mkdir(exist_ok=True)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=CACHE)))
        bench = Bench(Servers(kafka, redis_server), Topics(kafka.bootstrap))
        for name in options.only:
            trial = Trial(name, bench, folder, registry, options)
            try:
                outcome = trial.run()
            except (NotAvailable, TimeoutError) as failure:
                say(f"{name}: NOT RUN: {failure}")
            else:
                say(" | ".join(f"{head}: {cell}" for head, cell in zip(HEADS, outcome.cells, strict=True)))
                yield outcome
            finally:
                trial.end()


def write_page(rows: list[Outcome], options: argparse.Namespace) -> None:
    """Replace what stands between the two marks; systems that were left out keep their rows."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    old, _, after = rest.partition(END)
    by_title = {line.split(" | ")[0].removeprefix("| "): line for line in old.splitlines() if line.startswith("| ")}
    by_title |= {row.title: f"| {' | '.join(row.cells)} |" for row in rows}
    heads = [f"| {' | '.join(cells)} |" for cells in (HEADS, ["---"] * len(HEADS))]
    lines = [*heads, *(by_title[one.title] for one in PEERS.values() if one.title in by_title)]
    day = datetime.now(UTC).date().isoformat()
    text = "\n".join(
        [
            f'`make faults-peers KILLS={options.kills} SEED={options.seed} PEERS="--leads {options.leads}"` of {day}.',
            "",
            *lines,
            "",
        ]
    )
    PAGE.write_text(f"{before}{BEGIN}{text}{END}{after}")


def main() -> int:
    """Run all; 1 where a leadscore is not exact, or a system could not be run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("--leads", type=int, default=1_000)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PEERS))
    parser.add_argument("--page", action="store_true", help="write the table into docs/promise.md")
    options = parser.parse_args()
    rows = list(outcomes(options))
    if options.page:
        write_page(rows, options)
    exact = all(row.wrong == row.missing_crossings == 0 for row in rows if row.title.startswith("leadscore"))
    return int(not exact or len(rows) < len(options.only))


if __name__ == "__main__":
    sys.exit(main())
