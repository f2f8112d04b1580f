"""The oracle of the simulation: what is stored and published, against what came in and against a plain fold of the log.

Two measures, which share nothing but the log's order. ``tests/oracle.py`` has the scores, from the records alone: how
they came to the log, how often and in what order does not matter (``people_verdict``). The plain fold has everything
else, byte for byte: states, crossings, their order, latest scores.
"""

from collections.abc import Iterable

from leadscore.ops.choices import Delivery
from leadscore.pipeline.kafka.records import OutputRecord
from leadscore.pipeline.match.dead_letter_headers import account_of
from tests.memory_kafka.broker import Record
from tests.simulation.inputs import Inputs
from tests.simulation.plain_fold import PlainFold
from tests.simulation.process import Process
from tests.simulation.site import CROSSINGS, DEAD_LETTERS, SCORES, Site


class Violation(AssertionError):
    """Something was lost, counted twice, published otherwise than before, or never ends. ``trace`` has the steps."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.trace: list[str] = []


def check_states(site: Site, fold: PlainFold) -> None:
    """What is stored is the plain fold of the log, byte for byte."""
    for number, states in fold.states.items():
        shard = site.redis.shards.get(number)
        stored = {} if shard is None else shard.leads
        if stored != states:
            wrong = [lead_id for lead_id in states.keys() | stored.keys() if states.get(lead_id) != stored.get(lead_id)]
            raise Violation(f"shard {number}: the states of {sorted(wrong)} are not those of the log")


def check_published(site: Site, fold: PlainFold) -> None:
    """Every crossing of the plain fold, once or more with the same body, and no other; each lead's in their order."""
    published = published_crossings(site)
    expected, actual = bodies_by_id(fold.published), bodies_by_id(published)
    if several := [crossing_id for crossing_id, bodies in expected.items() if len(bodies) > 1]:
        raise Violation(f"the plain fold gives several crossings one id: {several}")
    if lost := expected.keys() - actual.keys():
        raise Violation(f"crossings that were never published: {sorted(lost)}")
    if more := actual.keys() - expected.keys():
        raise Violation(f"crossings that are not the log's: {sorted(more)}")
    if site.config.delivery is Delivery.TRANSACTIONAL and len(published) != len(fold.published):
        raise Violation(f"{len(published) - len(fold.published)} crossings are there more than once")
    for crossing_id, bodies in actual.items():
        if bodies != expected[crossing_id]:
            raise Violation(f"crossing {crossing_id} has another body than in the plain fold, or several")
    if _order_by_lead(published) != _order_by_lead(fold.published):
        raise Violation("crossings of one lead are not in the order decided")


def published_crossings(site: Site) -> list[Record]:
    """Partition by partition, in the order of the topic."""
    return [record for log in site.kafka.topics[CROSSINGS].partitions for _, record in log.committed_records()]


def id_of(record: OutputRecord | Record) -> str:
    return str(dict(record.headers)["ce_id"])


def bodies_by_id(records: Iterable[OutputRecord | Record]) -> dict[str, set[object]]:
    """What was published under each id: one body, however often."""
    bodies: dict[str, set[object]] = {}
    for record in records:
        bodies.setdefault(id_of(record), set()).add(_body(record))
    return bodies


def _body(record: OutputRecord | Record) -> object:
    return record.key, record.value, tuple(record.headers)


def _order_by_lead(records: Iterable[OutputRecord | Record]) -> dict[bytes | None, list[str]]:
    """The ids of each lead by their first appearance."""
    order: dict[bytes | None, dict[str, None]] = {}
    for record in records:
        order.setdefault(record.key, {})[id_of(record)] = None
    return {key: list(ids) for key, ids in order.items()}


def check_latest_scores(site: Site, fold: PlainFold) -> None:
    """What compaction leaves of the scores topic is the last that the plain fold has news of."""
    records = [record for log in site.kafka.topics[SCORES].partitions for _, record in log.committed_records()]
    actual = {record.key: _body(record) for record in records}
    expected = {key: _body(record) for key, record in fold.latest.items()}
    if actual != expected:
        wrong = [key for key in actual.keys() | expected.keys() if actual.get(key) != expected.get(key)]
        raise Violation(f"latest scores of {sorted(map(str, wrong))} are not those of the log")


def check_dead_letters(site: Site, inputs: Inputs) -> None:
    """Exactly the poison, with the bytes that it came with."""
    letters = {}
    for log in site.kafka.topics[DEAD_LETTERS].partitions:
        for _, record in log.committed_records():
            account = account_of(record.headers)
            if account is None:
                raise Violation("a record of the dead-letter topic does not say where it came from")
            letters[account.position] = record.value
    if letters != inputs.poison():
        raise Violation(f"dead letters {letters}, expected {inputs.poison()}")


def check_conserved(processes: Iterable[Process]) -> None:
    """Of every record consumed it is counted what became of it."""
    for process in processes:
        if process.counted.without_outcome:
            raise Violation(f"{process.name}: nothing says what became of {process.counted.without_outcome} records")
