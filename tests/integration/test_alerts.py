"""The rules for Prometheus, with promtool: they are well formed, and every alert fires when it should and only then."""

import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.prometheus.alerts import all_alerts
from deploy.prometheus.scale import Scale
from deploy.prometheus.write import RULES
from tests.alert_cases import HEALTHY, Case, Why, all_cases
from tests.conftest import NEEDS_PROMETHEUS, asking_for
from tests.debian_prometheus import promtool_binary

CASES = list(all_cases())
ALERTS = [alert.name for alert in all_alerts(Scale())]
OF_A_SHARE = {name for name in ALERTS if "Budget" in name} | {"LeadscoreLeavesLate", "LeadscoreDeadLetterShareHigh"}


@pytest.fixture(scope="session")
def promtool() -> Path:
    with asking_for(NEEDS_PROMETHEUS):
        return promtool_binary()


def run(promtool: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)


def test_the_rules_are_well_formed(promtool: Path) -> None:
    checked = run(promtool, "check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_when_it_should_and_only_then(promtool: Path, tmp_path: Path, alert: str) -> None:
    paths = []
    for interval in ("1m", "5m"):
        paths.append(tmp_path / f"{interval}.yaml")
        cases = [as_test(case) for case in CASES if case.alert == alert and interval_of(case) == interval]
        tests = {"rule_files": [str(RULES)], "evaluation_interval": interval, "tests": cases}
        paths[-1].write_text(yaml.safe_dump(tests))
    tested = run(promtool, "test", "rules", *map(str, paths))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def interval_of(case: Case) -> str:
    """All rules are evaluated at every interval, which takes long for hours of short ones."""
    return "5m" if case.minute >= 60 else "1m"


def as_test(case: Case) -> dict[str, Any]:
    series = {**HEALTHY, **case.series}
    firing = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in case.firing]
    return {
        "name": str(case),
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{case.minute}m",
                "exp_samples": firing,
            }
        ],
    }


def test_every_alert_has_every_case() -> None:
    covered = defaultdict(set)
    for case in CASES:
        covered[case.alert].add(case.why)
    always = {Why.FIRES, Why.JUST_BELOW, Why.RESTART, Why.MISSING}
    missing = {name: (always | ({Why.FEW} if name in OF_A_SHARE else set())) - covered[name] for name in ALERTS}
    assert {name: whys for name, whys in missing.items() if whys} == {}
