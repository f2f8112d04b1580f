"""Pictures of dashboards: numbers as people read them, names of lines, and one box per panel."""

import math
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pytest

from deploy.grafana.panel import Dashboard, Kind, Panel, Unit
from deploy.grafana.write import dashboards
from tests.dashboard_svg import Line, named, picture, shown

TEXT = "{http://www.w3.org/2000/svg}text"
PATH = "{http://www.w3.org/2000/svg}path"


def panels_of(dashboard: Dashboard) -> list[Panel]:
    return [place.content for place in dashboard.places() if isinstance(place.content, Panel)]


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter(TEXT)]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.9991, Unit.RATIO, "99.91 %"),
        (0.012, Unit.SECONDS, "12 ms"),
        (90, Unit.SECONDS, "1.5 min"),
        (12_345, Unit.COUNT, "12.35k"),
        (80_700_000, Unit.BYTES, "80.7 MB"),
        (2.5, Unit.RATE, "2.5/s"),
        (math.nan, Unit.SECONDS, "none"),
    ],
)
def test_a_number_is_shown_in_its_unit(value: float, unit: Unit, text: str) -> None:
    assert shown(value, unit) == text


def test_a_line_is_called_after_its_labels() -> None:
    assert named("version {{version}}, at most {{le}}", {"version": "2", "le": "10.0"}) == "version 2, at most 10.0"
    assert named("{{job}} {{group}}", {"job": "leadscore"}) == "leadscore"


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda dashboard: dashboard.name)
def test_every_panel_is_drawn_with_its_lines(dashboard: Dashboard) -> None:
    def lines_of(panel: Panel) -> Sequence[Line]:
        points = [(0.0, 1.0), (10.0, math.nan), (20.0, 3.0)] if panel.kind is Kind.LINES else [(0.0, 3.0)]
        return [Line("first", points), Line("second", points)]

    svg = picture(dashboard, lines_of)
    drawn = texts(svg)
    assert [panel.title for panel in panels_of(dashboard) if panel.title not in drawn] == []
    lines = [path for path in ET.fromstring(svg).iter(PATH) if path.get("fill") == "none"]
    assert len(lines) == 2 * sum(panel.kind is Kind.LINES for panel in panels_of(dashboard))


def test_a_panel_without_data_says_so() -> None:
    dashboard = dashboards()[0]
    assert texts(picture(dashboard, lambda _: [])).count("nothing in this time") == len(panels_of(dashboard))
