"""Draw the dashboards for the docs: python -m tests.dashboard_pictures [--minutes N].

Two workers run under load on a real Kafka and a real Redis, and Prometheus scrapes them; Redis is away for a while, one
worker is killed and comes back with the next version of the model, and some records cannot be read.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from deploy.grafana.panel import Dashboard, Kind, Panel
from deploy.grafana.write import dashboards
from deploy.prometheus.scale import Scale
from tests.dashboard_queries import Asked
from tests.dashboard_svg import Line, named, picture
from tests.deployment import Deployment
from tests.monitored import MODEL, Monitored
from tests.prometheus_server import Series, elapsed_since
from tests.servers import redis_binaries, start_kafka, start_redis

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
MOST_POINTS = 60


def draw(monitored: Monitored) -> None:
    """Ask Prometheus what each panel asks, and write what it answers as pictures."""
    range_s = elapsed_since(monitored.started_s)
    for dashboard in dashboards():
        lines = {id(asked.query): _lines(monitored, asked, range_s) for asked in _asked(dashboard)}

        def lines_of(panel: Panel, lines: Mapping[int, list[Line]] = lines) -> list[Line]:
            return [line for query in panel.queries for line in lines[id(query)]]

        (FOLDER / f"dashboard-{dashboard.name}.svg").write_text(picture(dashboard, lines_of), encoding="utf-8")


def _asked(dashboard: Dashboard) -> list[Asked]:
    panels = [place.content for place in dashboard.places() if isinstance(place.content, Panel)]
    return [Asked(dashboard, panel, query) for panel in panels for query in panel.queries]


def _lines(monitored: Monitored, asked: Asked, range_s: int) -> list[Line]:
    expression = asked.expression(range_s, "15s", monitored.scale)
    is_range = asked.panel.kind is Kind.LINES
    series = monitored.over_all(expression) if is_range else monitored.prometheus.query(expression)
    return [Line(named(asked.query.legend, one.labels), _fewer(one)) for one in series]


def _fewer(series: Series) -> list[tuple[float, float]]:
    step = math.ceil(len(series.points) / MOST_POINTS)
    return list(series.points[::step])


def _live(monitored: Monitored, minutes: float) -> None:
    """What is to be seen on the pictures, over this time."""
    part_s = minutes * 60 / 5
    time.sleep(part_s)
    with monitored.redis_away():
        time.sleep(min(part_s / 2, 20))
    time.sleep(part_s)
    monitored.flood_dead_letters(150)
    first, *_ = monitored.ports
    monitored.workers[first].kill()
    monitored.deployment.use_model({**MODEL, "version": 2})
    time.sleep(2)
    monitored.start_worker(first)
    time.sleep(2.5 * part_s)


def main() -> None:
    """Start everything, wait, draw."""
    parser = argparse.ArgumentParser(description="Draw the dashboards for the docs.")
    parser.add_argument("--minutes", type=float, default=4, help="how long the workers run (default: %(default)s)")
    minutes = parser.parse_args().minutes
    with (
        tempfile.TemporaryDirectory() as folder,
        start_kafka() as kafka,
        start_redis(next(iter(redis_binaries()))) as redis,
    ):
        deployment = Deployment(kafka, redis, ("leadscore", "leadscore"), Path(folder), MODEL)
        deployment.environ |= {"LEADSCORE_REDIS_TIMEOUT": "1s", "LEADSCORE_DEAD_LETTER_MAX_RATIO": "1"}
        deployment.create_topics()
        with ExitStack() as ending:
            ending.callback(deployment.stop)
            monitored = ending.enter_context(Monitored(deployment, Scale(minute_s=2)))
            _live(monitored, minutes)
            draw(monitored)


if __name__ == "__main__":
    main()
