"""The dashboards in deploy/grafana are what their source makes, and hold what people who run Grafana look for."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from deploy.grafana.panel import NOTHING, WIDTH, Dashboard, Kind, Panel, Unit
from deploy.grafana.write import FOLDER, dashboards, path_of, text_of
from deploy.prometheus.write import RULES
from tests.dashboard_queries import Asked, all_queries
from tests.metric_names import OF_THE_PROCESS, exported, exported_label_values, label_values_in, metrics_in

DASHBOARDS = dashboards()
PANELS = [
    (dashboard, place.content)
    for dashboard in DASHBOARDS
    for place in dashboard.places()
    if isinstance(place.content, Panel)
]
RECORDED = {
    rule["record"]
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "record" in rule
}


def panel_name(value: object) -> str | None:
    return value.title if isinstance(value, Panel) else value.name if isinstance(value, Dashboard) else None


def file_of(dashboard: Dashboard) -> Mapping[str, Any]:
    return dict(json.loads(path_of(dashboard).read_text(encoding="utf-8")))


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=panel_name)
def test_the_committed_dashboard_is_that_of_the_source(dashboard: Dashboard) -> None:
    assert path_of(dashboard).read_text(encoding="utf-8") == text_of(dashboard)


def test_there_is_no_other_file() -> None:
    assert sorted(FOLDER.iterdir()) == sorted(path_of(dashboard) for dashboard in DASHBOARDS)


@pytest.mark.parametrize("panel", [panel for _, panel in PANELS], ids=panel_name)
def test_a_panel_says_what_it_shows_and_in_what_unit(panel: Panel) -> None:
    assert panel.description.endswith(".")
    assert isinstance(panel.unit, Unit)
    assert panel.queries
    assert len([other for _, other in PANELS if other == panel]) == 1
    assert len(panel.queries) == 1 or all(query.legend for query in panel.queries)


@pytest.mark.parametrize("asked", list(all_queries()), ids=str)
def test_a_query_reads_what_there_is_and_only_of_the_chosen_deployments(asked: Asked) -> None:
    expression = asked.query.expression
    assert metrics_in(expression) - exported() == set()
    assert set(label_values_in(expression)) - exported_label_values() == set()
    assert set(re.findall(r"job_\w+(?::\w+)+", expression)) - RECORDED == set()
    others = set(re.findall(r"\b(?:process_\w+|up)\b", expression))
    assert others <= OF_THE_PROCESS
    selectors = re.findall(r"(?:leadscore_|job_)[\w:]+\{([^}]*)\}", expression)
    assert [text for text in selectors if 'job=~"$job",group=~"$group"' not in text] == []
    assert len(selectors) == len(re.findall(r"(?<![\w:])(?:leadscore_|job_)[\w:]+", expression))


@pytest.mark.parametrize("asked", list(all_queries()), ids=str)
def test_a_line_over_time_uses_the_interval_that_grafana_chooses(asked: Asked) -> None:
    windows = re.findall(r"\[([^\]]*)\]", asked.query.expression)
    expected = {"$__rate_interval", "1h"} if asked.panel.kind is Kind.LINES else {"$__range"}
    assert set(windows) <= expected


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=panel_name)
def test_data_source_group_and_model_can_be_chosen(dashboard: Dashboard) -> None:
    content = file_of(dashboard)
    variables = {variable["name"]: variable for variable in content["templating"]["list"]}
    assert variables.keys() >= {"datasource", "job", "group", "model"}
    sources = {json.dumps(panel["datasource"]) for panel in content["panels"] if panel["type"] != "row"}
    assert sources == {json.dumps({"type": "prometheus", "uid": "${datasource}"})}
    used = json.dumps(content["panels"]) + "".join(str(variable.get("definition")) for variable in variables.values())
    assert [name for name in variables if f"${name}" not in used and f"${{{name}}}" not in used] == []


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=panel_name)
def test_a_panel_without_traffic_says_so(dashboard: Dashboard) -> None:
    for panel in file_of(dashboard)["panels"]:
        if panel["type"] != "row":
            defaults = panel["fieldConfig"]["defaults"]
            assert defaults["noValue"] == NOTHING
            [mapping] = defaults["mappings"]
            assert mapping["options"] == {"match": "null+nan", "result": {"text": NOTHING}}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=panel_name)
def test_a_model_chooses_the_jobs_and_the_groups_that_have_it(dashboard: Dashboard) -> None:
    variables = {variable["name"]: variable for variable in file_of(dashboard)["templating"]["list"]}
    for name in ("job", "group"):
        assert 'leadscore_model_info{model=~"$model"' in variables[name]["definition"]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=panel_name)
def test_no_panel_covers_another(dashboard: Dashboard) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in file_of(dashboard)["panels"]:
        grid = panel["gridPos"]
        cells = {(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])}
        assert taken & cells == set()
        assert max(x for x, _ in cells) < WIDTH
        taken |= cells


def test_the_promise_stands_at_the_top_of_the_service_dashboard() -> None:
    first = [panel["title"] for panel in file_of(DASHBOARDS[0])["panels"][:3]]
    assert first == ["Promise", "Freshness", "Publishing"]


def test_grafana_is_told_where_the_dashboards_and_the_data_are() -> None:
    provisioning = FOLDER.parent / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "leadscore.yaml").read_text())["providers"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "leadscore.yaml").read_text())["datasources"]
    assert (provider["type"], provider["options"]["path"]) == ("file", "/var/lib/grafana/dashboards")
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    scraped = yaml.safe_load(RULES.with_name("prometheus.yml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped
