"""What a seed has in store: the shape of the deployment, and what goes wrong how often."""

from dataclasses import dataclass
from enum import Enum
from random import Random

FAULTS = (
    "admin.leader_epochs fails",
    "admin.log_bounds fails",
    "admin.model fails",
    "admin.topic_ids fails",
    "answer of consumer.committed lost",
    "answer of store.due_all lost",
    "answer of store.read_shards lost",
    "answer of store.scan_leads lost",
    "answer of store.write lost",
    "answer of transaction.commit lost",
    "answer of transaction.offsets lost",
    "answer to commit lost",
    "commit lost",
    "consumer.commit fails",
    "consumer.committed fails",
    "consumer.seek fails",
    "kafka is silent",
    "producer fails for good",
    "record refused",
    "store.look_at_due fails",
    "store.write arrives late",
    "store.read_leads fails",
    "store.read_shards fails",
    "store.write fails",
    "transaction.commit fails",
    "transaction.init fails",
    "transaction.offsets fails",
)
ALWAYS = {
    "records before a rebalance": 0.5,
    "records sent again": 0.1,
    "sent commits arrive": 0.5,
    "sent records arrive": 0.4,
}
OF_OUTAGES = frozenset(FAULTS) - {"producer fails for good", "record refused"}
"""What goes wrong while a service does not answer at all. The others are a broker's words."""


class Ending(Enum):
    """What happens when everything has settled."""

    NOTHING = "nothing"
    ERASURE = "a person is erased"
    LOSS = "redis loses writes"
    NEW_LOG = "the log is recreated"
    LOST_LOG_END = "the log loses its end"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a deployment is set to."""

    partitions: int
    rebuild: bool
    has_scores: bool
    merges_by_time: bool
    is_transactional: bool
    has_roles: bool = False
    """Whether each process has one stage only."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Of one seed. The rates are per call, the shares per step."""

    shape: Shape
    processes: int
    has_wrong_clocks: bool
    changes_model: bool
    recreates_source: bool
    ends_with: Ending
    poison: int
    rates: dict[str, float]
    kills: float
    holds: float
    losses: float
    total_losses: float
    retention: float
    input_losses: float


def draw(random: Random) -> Plan:
    """A deployment and its troubles; some seeds have few kinds of faults, some have many."""
    kinds = random.choice((0, 2, 5, 12))
    rates = {fault: random.choice((0.01, 0.03, 0.1)) for fault in random.sample(FAULTS, kinds)}
    if "producer fails for good" in rates:
        rates["producer fails for good"] /= 5
    rates |= {f"{service} goes away": random.choice((0.0, 0.0, 0.01, 0.03)) for service in ("kafka", "redis")}
    rates["everything at once"] = random.choice((0.2, 0.5, 0.8))
    return Plan(
        shape=Shape(
            partitions=random.choice((1, 2, 3)),
            rebuild=random.random() < 0.5,
            has_scores=random.random() < 0.25,
            merges_by_time=random.random() < 0.2,
            is_transactional=random.random() < 0.4,
            has_roles=random.random() < 0.2,
        ),
        processes=random.choice((1, 2, 2, 3)),
        has_wrong_clocks=random.random() < 0.3,
        changes_model=random.random() < 0.25,
        recreates_source=random.random() < 0.15,
        ends_with=random.choice(tuple(Ending)),
        poison=random.choice((0, 0, 1, 3)),
        rates=rates,
        kills=random.choice((0.0, 0.05, 0.15)),
        holds=random.choice((0.0, 0.05, 0.1)),
        losses=random.choice((0.0, 0.0, 0.02, 0.06)),
        total_losses=random.choice((0.0, 0.0, 0.02)),
        retention=random.choice((0.0, 0.0, 0.05)),
        input_losses=random.choice((0.0, 0.0, 0.1)),
    )
