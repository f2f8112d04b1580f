"""Panels and dashboards as values, and the form they have in Grafana."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

SCHEMA_VERSION = 39
WIDTH = 24
"""Columns of Grafana's grid."""
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


class Kind(StrEnum):
    """How a panel shows its numbers."""

    LINES = "timeseries"
    NUMBER = "stat"
    BARS = "bargauge"


class Unit(StrEnum):
    """Grafana's names of units."""

    NONE = "none"
    COUNT = "short"
    RATE = "ops"
    RATIO = "percentunit"
    SECONDS = "s"
    BYTES = "bytes"
    TIME = "dateTimeFromNow"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression, and what its lines are called."""

    expression: str
    legend: str = ""


NOTHING = "nothing in this time"
"""What a panel says where there was no traffic, in place of "No data"."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. Numbers and bars show the instant; ``limit`` is where green ends."""

    title: str
    description: str
    unit: Unit
    queries: Sequence[Query]
    kind: Kind = Kind.LINES
    width: int = 8
    limit: float | None = None
    is_better_above: bool = False

    @property
    def height(self) -> int:
        """Rows of Grafana's grid."""
        return 4 if self.kind is Kind.NUMBER else 8

    def as_json(self, number: int, column: int, row: int) -> Mapping[str, Any]:
        """What stands in the file."""
        return {
            "id": number,
            "type": self.kind.value,
            "title": self.title,
            "description": self.description,
            "datasource": SOURCE,
            "gridPos": {"x": column, "y": row, "w": self.width, "h": self.height},
            "targets": [self._target(letter, query) for letter, query in zip("ABCDEFGH", self.queries, strict=False)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": self._options(),
        }

    def _target(self, letter: str, query: Query) -> Mapping[str, Any]:
        is_range = self.kind is Kind.LINES
        when = {"range": is_range, "instant": not is_range}
        return {"refId": letter, "datasource": SOURCE, "expr": query.expression, "legendFormat": query.legend, **when}

    def _defaults(self) -> Mapping[str, Any]:
        below, above = ("red", "green") if self.is_better_above else ("green", "red")
        steps: list[Mapping[str, Any]] = [{"color": below if self.limit is not None else "green", "value": None}]
        if self.limit is not None:
            steps.append({"color": above, "value": self.limit})
        custom = {"custom": {"fillOpacity": 8, "showPoints": "never"}} if self.kind is Kind.LINES else {}
        colour = {} if self.kind is Kind.LINES else {"color": {"mode": "thresholds"}}
        # A quotient of nothing by nothing is no number; without a series there is nothing to map.
        nothing = {"type": "special", "options": {"match": "null+nan", "result": {"text": NOTHING}}}
        return {
            "unit": self.unit.value,
            "thresholds": {"mode": "absolute", "steps": steps},
            "noValue": NOTHING,
            "mappings": [nothing],
            **custom,
            **colour,
        }

    def _options(self) -> Mapping[str, Any]:
        if self.kind is Kind.LINES:
            legend = {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]}
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
        shown = {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "orientation": "horizontal",
        }
        return shown | ({"colorMode": "value", "graphMode": "none"} if self.kind is Kind.NUMBER else {})


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading, side by side as long as there is room."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is: the heading of a row, or a panel."""

    content: Row | Panel
    column: int
    row: int

    def as_json(self, number: int) -> Mapping[str, Any]:
        """What stands in the file."""
        if isinstance(self.content, Panel):
            return self.content.as_json(number, self.column, self.row)
        grid = {"x": self.column, "y": self.row, "w": WIDTH, "h": 1}
        return {"id": number, "type": "row", "title": self.content.title, "gridPos": grid, "panels": []}


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of the dashboard: the values of a label."""

    name: str
    label: str
    query: str

    def as_json(self) -> Mapping[str, Any]:
        """What stands in the file."""
        return {
            "name": self.name,
            "label": self.label,
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": self.query, "refId": self.name},
            "definition": self.query,
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",  # also where the label is missing
            "current": {"text": "All", "value": "$__all"},
            "sort": 1,
        }


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Rows of panels, and the variables that choose what they show."""

    name: str
    title: str
    description: str
    variables: Sequence[Variable]
    rows: Sequence[Row]

    def places(self) -> Iterator[Place]:
        """Headings and panels from top to bottom."""
        top = 0
        for row in self.rows:
            yield Place(row, 0, top)
            top += 1
            column, height = 0, 0
            for panel in row.panels:
                if column + panel.width > WIDTH:
                    column, top, height = 0, top + height, 0
                yield Place(panel, column, top)
                column, height = column + panel.width, max(height, panel.height)
            top += height

    def as_json(self) -> Mapping[str, Any]:
        """The file."""
        source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
        return {
            "uid": f"leadscore-{self.name}",
            "title": self.title,
            "description": self.description,
            "tags": ["leadscore"],
            "schemaVersion": SCHEMA_VERSION,
            "editable": False,
            "time": {"from": "now-6h", "to": "now"},
            "refresh": "30s",
            "templating": {"list": [source, *(variable.as_json() for variable in self.variables)]},
            "links": [{"type": "dashboards", "title": "leadscore", "tags": ["leadscore"], "keepTime": True}],
            "panels": [place.as_json(number) for number, place in enumerate(self.places(), 1)],
        }
