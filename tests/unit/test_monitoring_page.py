"""docs/monitoring.md says what is in deploy/prometheus and deploy/grafana."""

import re

import pytest
import yaml

from deploy.prometheus.objectives import BURNS, LEAST_LATE, OBJECTIVES, Burn, Objective
from deploy.prometheus.scale import MINUTES_PER_DAY, MINUTES_PER_HOUR
from tests.monitoring_page import PAGE, with_table

TEXT = PAGE.read_text(encoding="utf-8")
ROOT = PAGE.parents[1]


def words_of(minutes: int) -> str:
    for length, name in ((MINUTES_PER_DAY, "day"), (MINUTES_PER_HOUR, "hour"), (1, "minute")):
        if minutes % length == 0:
            number = minutes // length
            return f"{number} {name}{'s' if number > 1 else ''}"
    raise AssertionError(minutes)


def test_the_table_of_alerts_is_that_of_the_source() -> None:
    assert with_table(TEXT) == TEXT


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_an_objective_is_on_the_page(objective: Objective) -> None:
    row = next(line for line in TEXT.splitlines() if line.startswith(f"| {objective.name} |"))
    assert f"`{objective.histogram}`" in row
    assert f"within {objective.within_s:g} seconds | {objective.target * 100:g} %" in row


@pytest.mark.parametrize("burn", BURNS, ids=lambda burn: str(burn.rate))
def test_a_burn_rate_is_on_the_page(burn: Burn) -> None:
    spent = burn.rate * burn.long_minutes / (30 * MINUTES_PER_DAY)
    windows = f"{words_of(burn.long_minutes)} | {words_of(burn.short_minutes)}"
    assert f"| {burn.rate:g} | {windows} | {spent:.0%} |".replace("%", " %") in TEXT
    assert LEAST_LATE == 10


def test_files_and_yaml_on_the_page_are_right() -> None:
    named = set(re.findall(r"`(deploy/[\w./]+)`", TEXT))
    assert {name for name in named if not (ROOT / name).exists()} == set()
    for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL):
        assert yaml.safe_load(block)
