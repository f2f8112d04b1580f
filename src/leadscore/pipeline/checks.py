"""What readiness needs of each stage, in words for operators: what is waited for, and at which address."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from leadscore.errors import Unavailable
from leadscore.ops.choices import Role
from leadscore.ops.config import Config
from leadscore.ops.health import ASSIGNED, START, Health
from leadscore.ops.services import KAFKA, REDIS, addresses_of, outage_words
from leadscore.pipeline.kafka.refusals import Refusals
from leadscore.pipeline.kafka.subscription import Subscription

MATCH, SCORE = "match", "score"


class CheckedStage(Protocol):
    """What is asked of a stage."""

    subscription: Subscription
    refusals: Refusals

    @property
    def is_paused(self) -> bool:
        """Whether it waits for a service."""

    @property
    def outage(self) -> Unavailable | None:
        """The service that is unavailable, and how."""

    @property
    def stopped_words(self) -> str:
        """Why some partitions wait for an operator; empty if none does."""


def checks_of(config: Config) -> dict[str, str]:
    """The checks of a worker, each with what it waits for before anything was found out."""
    addresses = addresses_of(config)
    waits = {START: "the worker starts: it reads its configuration"}
    waits[KAFKA] = f"kafka at {addresses[KAFKA]} is asked once the worker has begun"
    for stage in stages_of(config.role):
        group = config.match_group if stage == MATCH else config.score_group
        services = [KAFKA] if stage == MATCH else [REDIS, KAFKA]
        places = " and ".join(f"{service} at {addresses[service]}" for service in services)
        waits[f"{stage}_{ASSIGNED}"] = f"the {stage} stage joins group {group} once {places} answered"
        waits[f"{stage}_running"] = f"the {stage} stage begins once group {group} has given it partitions"
    return waits


def stages_of(role: Role) -> tuple[str, ...]:
    """The names of the stages that a worker of the role runs."""
    return {Role.ALL: (MATCH, SCORE), Role.MATCH: (MATCH,), Role.SCORE: (SCORE,)}[role]


@dataclass(frozen=True, slots=True)
class StageChecks:
    """Tells ``/readyz`` about one stage."""

    name: str
    group: str
    addresses: Mapping[str, str]
    health: Health

    def tell(self, stage: CheckedStage) -> None:
        """What is so now."""
        subscription = stage.subscription
        # One without partitions, because there are more workers than partitions, is as ready as the others.
        assigned = f"{len(subscription.assigned)} partitions of group {self.group}"
        waits = f"kafka at {self.addresses[KAFKA]} has given group {self.group} no partitions for this worker yet"
        is_settled = subscription.is_settled
        detail = assigned if is_settled else stage.refusals.of_group or waits
        self.health.set_check(f"{self.name}_{ASSIGNED}", is_settled, detail)
        trouble = self._trouble(stage)
        self.health.set_check(f"{self.name}_running", not trouble, trouble or "running")

    def _trouble(self, stage: CheckedStage) -> str:
        """Why the stage does not go on, with all or with some of its partitions; empty if it does."""
        outage = outage_words(stage.outage, self.addresses) if stage.outage is not None else ""
        waits = f"where some partitions go on is being asked of {self._asked()}" if stage.is_paused else ""
        return ". ".join(words for words in (outage or waits, stage.stopped_words) if words)

    def _asked(self) -> str:
        services = [KAFKA] if self.name == MATCH else [REDIS, KAFKA]
        return " and ".join(f"{service} at {self.addresses[service]}" for service in services)
