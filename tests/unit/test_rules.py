"""The rules in deploy/prometheus are what their source makes, and every metric in them is one of the worker."""

import re

import pytest
import yaml

from deploy.prometheus.alerts import all_alerts
from deploy.prometheus.objectives import OBJECTIVES
from deploy.prometheus.rule import Alert, Severity
from deploy.prometheus.scale import Scale
from deploy.prometheus.write import RULES, main, rules_text
from leadscore.ops.metrics import Metrics
from tests.metric_names import LabelValue, exported, exported_label_values, label_values_in, metrics_in

ALERTS = list(all_alerts(Scale()))
RULE_ROWS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
MOST_PAGES = 5


def test_the_committed_rules_are_those_of_the_source() -> None:
    assert RULES.read_text(encoding="utf-8") == rules_text(Scale())


@pytest.mark.parametrize("rule", RULE_ROWS, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_reads_metrics_that_the_worker_has(rule: dict[str, str]) -> None:
    assert metrics_in(rule["expr"]) - exported() == set()


@pytest.mark.parametrize("rule", RULE_ROWS, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_selects_values_of_labels_that_the_worker_has(rule: dict[str, str]) -> None:
    assert set(label_values_in(rule["expr"])) - exported_label_values() == set()


def test_a_value_of_a_label_that_no_worker_has_is_found() -> None:
    expression = 'rate(leadscore_store_errors_total{kind=~"auth|authorisation", job=~"$job"}[5m])'
    assert set(label_values_in(expression)) - exported_label_values() == {
        LabelValue("leadscore_store_errors_total", "kind", "authorisation")
    }


def test_a_rule_reads_recording_rules_that_there_are() -> None:
    recorded = {rule["record"] for rule in RULE_ROWS if "record" in rule}
    read = {name for rule in RULE_ROWS for name in re.findall(r"\w+(?::\w+)+", rule["expr"])}
    assert {name for name in read if name.startswith("job_")} - recorded == set()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_says_what_is_wrong_in_a_line_and_where_its_runbook_is(alert: Alert) -> None:
    annotations = alert.as_yaml("https://example.org/runbooks/")["annotations"]
    assert annotations["runbook_url"] == f"https://example.org/runbooks/{alert.name}.md"
    assert "\n" not in alert.summary
    assert alert.description.endswith(".")


def test_pages_are_few() -> None:
    assert len([alert for alert in ALERTS if alert.severity is Severity.PAGE]) <= MOST_PAGES


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_an_objective_lies_on_a_bucket_boundary(objective: object) -> None:
    rendered = Metrics("0", []).render()[0].decode()
    within, histogram = (getattr(objective, name) for name in ("within_s", "histogram"))
    assert f'{histogram}_bucket{{le="{float(within)}"}}' in rendered


def test_the_address_of_the_runbooks_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr("sys.argv", ["write", "--runbooks", "https://wiki.example.org/leadscore"])
    monkeypatch.setattr(type(RULES), "write_text", lambda _path, text, **_: written.append(text))
    main()
    assert "runbook_url: https://wiki.example.org/leadscore/LeadscoreStuck.md" in written[0]
