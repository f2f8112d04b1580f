"""The queries of the dashboards as Grafana sends them: with its variables replaced."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.grafana.panel import Dashboard, Panel, Query
from deploy.grafana.write import dashboards
from deploy.prometheus.scale import MINUTES_PER_DAY, MINUTES_PER_HOUR, Scale

EVERYTHING = ".*"


@dataclass(frozen=True, slots=True)
class Asked:
    """A query of a panel, and where it stands."""

    dashboard: Dashboard
    panel: Panel
    query: Query

    def __str__(self) -> str:
        return f"{self.dashboard.name}: {self.panel.title}: {self.query.legend or 'the number'}"

    def expression(self, range_s: int, interval: str, scale: Scale) -> str:
        """As it is sent: everything is selected, of a time of this length; recording rules are those of the scale."""
        names = {variable.name: EVERYTHING for variable in self.dashboard.variables}
        names |= {"__rate_interval": interval, "__range": f"{range_s}s"}
        expression = self.query.expression
        for name in sorted(names, key=len, reverse=True):
            expression = expression.replace(f"${name}", names[name])
        return re.sub(r"(?<=:)(ratio_rate|increase)(\d+)([mhd])", lambda match: _scaled(match, scale), expression)


def _scaled(window: re.Match[str], scale: Scale) -> str:
    minutes = int(window[2]) * {"m": 1, "h": MINUTES_PER_HOUR, "d": MINUTES_PER_DAY}[window[3]]
    return f"{window[1]}{scale.span(minutes)}"


def all_queries() -> Iterator[Asked]:
    """Those of every panel of every dashboard."""
    for dashboard in dashboards():
        for place in dashboard.places():
            if isinstance(place.content, Panel):
                yield from (Asked(dashboard, place.content, query) for query in place.content.queries)
