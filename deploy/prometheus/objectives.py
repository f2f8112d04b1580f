"""What is promised in numbers, and how fast the error budget of 30 days may be spent."""

from dataclasses import dataclass

from deploy.prometheus.scale import MINUTES_PER_DAY, MINUTES_PER_HOUR, Scale

DEPLOYMENT = "job, group"
"""A deployment of leadscore is what shares these two labels, which the scrape configuration gives."""
LEAST_LATE = 10
"""Fewer late ones than this raise no alert, or a single one would at night, when there is hardly any traffic."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A share of all that must be in time. ``within_s`` is a bucket boundary of the histogram."""

    name: str
    histogram: str
    within_s: float
    target: float
    late: str
    """The metric part of the recording rules' names."""
    failures: str = ""
    """A counter of what never came through: late as well."""

    @property
    def budget(self) -> float:
        """The share that may be late."""
        return round(1 - self.target, 9)

    def all_of(self, function: str, window: str) -> str:
        """How many there were, by deployment: ``function`` is ``rate`` or ``increase``."""
        return _plus(_sum(function, f"{self.histogram}_count", window), self._failed(function, window))

    def late_of(self, function: str, window: str) -> str:
        """How many of them were late."""
        in_time = _sum(function, f'{self.histogram}_bucket{{le="{float(self.within_s)}"}}', window)
        late = f"{_sum(function, f'{self.histogram}_count', window)} - {in_time}"
        return _plus(late, self._failed(function, window))

    def ratio(self, window: str) -> str:
        """The name of the recording rule of the share that was late."""
        return f"job_group:{self.late}:ratio_rate{window}"

    def increase(self, window: str) -> str:
        """The name of the recording rule of how many were late."""
        return f"job_group:{self.late}:increase{window}"

    def _failed(self, function: str, window: str) -> str:
        return _sum(function, self.failures, window) if self.failures else ""


@dataclass(frozen=True, slots=True)
class Burn:
    """How many times too fast the budget is spent; the short window ends the alert soon after it is over."""

    rate: float
    long_minutes: int
    short_minutes: int
    is_fast: bool

    def windows(self, scale: Scale) -> tuple[str, str]:
        """The long window and the short one."""
        return scale.span(self.long_minutes), scale.span(self.short_minutes)


FRESHNESS = Objective(
    "freshness", "leadscore_record_to_decision_seconds", within_s=5, target=0.999, late="leadscore_late_decisions"
)
PUBLISHING = Objective(
    "publishing",
    "leadscore_decision_to_publish_seconds",
    within_s=5,
    target=0.999,
    late="leadscore_late_publishes",
    failures='leadscore_publish_failures_total{kind="crossing"}',
)
OBJECTIVES = (FRESHNESS, PUBLISHING)
BURNS = (
    Burn(14.4, MINUTES_PER_HOUR, 5, is_fast=True),  # 2 % of the budget in an hour
    Burn(6, 6 * MINUTES_PER_HOUR, 30, is_fast=True),  # 5 % in six hours
    Burn(3, MINUTES_PER_DAY, 2 * MINUTES_PER_HOUR, is_fast=False),  # 10 % in a day
    Burn(1, 3 * MINUTES_PER_DAY, 6 * MINUTES_PER_HOUR, is_fast=False),  # 10 % in three days
)


def _sum(function: str, series: str, window: str) -> str:
    return f"sum by ({DEPLOYMENT}) ({function}({series}[{window}]))"


def _plus(first: str, second: str) -> str:
    return f"({first} + {second})" if second else f"({first})"
