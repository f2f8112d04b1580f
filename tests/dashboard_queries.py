"""The queries of the dashboards as Grafana sends them: with its variables replaced."""

from collections.abc import Iterator
from dataclasses import dataclass

from deploy.grafana.panel import Dashboard, Panel, Query
from deploy.grafana.write import dashboards

EVERYTHING = ".*"


@dataclass(frozen=True, slots=True)
class Asked:
    """A query of a panel, and where it stands."""

    dashboard: Dashboard
    panel: Panel
    query: Query

    def __str__(self) -> str:
        return f"{self.dashboard.name}: {self.panel.title}: {self.query.legend or 'the number'}"

    def expression(self, range_s: int, interval: str) -> str:
        """As it is sent: everything is selected, of a time of this length."""
        names = {variable.name: EVERYTHING for variable in self.dashboard.variables}
        names |= {"__rate_interval": interval, "__range": f"{range_s}s"}
        expression = self.query.expression
        for name in sorted(names, key=len, reverse=True):
            expression = expression.replace(f"${name}", names[name])
        return expression


def all_queries() -> Iterator[Asked]:
    """Those of every panel of every dashboard."""
    for dashboard in dashboards():
        for place in dashboard.places():
            if isinstance(place.content, Panel):
                yield from (Asked(dashboard, place.content, query) for query in place.content.queries)
