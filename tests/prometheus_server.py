"""A real Prometheus that scrapes workers of a test, with the rules of deploy/prometheus on a faster clock."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from deploy.prometheus.scale import Scale
from deploy.prometheus.write import RULES, rules_text
from tests.debian_prometheus import prometheus_binary
from tests.servers import LOOPBACK, _new_directory, _spawn, _stop_at_exit, _wait_for_process, free_ports

SETTINGS = RULES.with_name("prometheus.yml")
SCRAPE_S = 1
ANSWER_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class Series:
    """One line of an answer: its labels, and pairs of time and value."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class PrometheusServer:
    """Its HTTP interface."""

    url: str
    stop: Callable[[], None]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def query(self, expression: str) -> list[Series]:
        """The values as of now."""
        result = self._get("query", query=expression)["result"]
        return [Series(one["metric"], [_point(one["value"])]) for one in result]

    def query_range(self, expression: str, start_s: float, end_s: float, step_s: float) -> list[Series]:
        """The values over a time, as a panel shows them."""
        asked = {"query": expression, "start": start_s, "end": end_s, "step": step_s}
        result = self._get("query_range", **asked)["result"]
        return [Series(one["metric"], [_point(value) for value in one["values"]]) for one in result]

    def alerts(self) -> list[Mapping[str, Any]]:
        """Those that are pending or firing."""
        return list(self._get("alerts")["alerts"])

    def states(self) -> dict[str, str]:
        """The name of each alert that is pending or firing, and which of the two."""
        states: dict[str, str] = {}
        for alert in self.alerts():
            name = alert["labels"]["alertname"]
            states[name] = "firing" if "firing" in (alert["state"], states.get(name)) else "pending"
        return states

    def rules(self) -> list[Mapping[str, Any]]:
        """Every rule, with ``health`` and ``lastError``."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, what: str, **arguments: object) -> dict[str, Any]:
        with urlopen(f"{self.url}/api/v1/{what}?{urlencode(arguments)}", timeout=ANSWER_TIMEOUT_S) as answer:
            return dict(json.load(answer)["data"])


def _point(pair: Sequence[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])


def start_prometheus(targets: Sequence[str], group: str, scale: Scale) -> PrometheusServer:
    """It scrapes the targets every second; ``ServerNotAvailable`` where no Prometheus can be had."""
    binary = prometheus_binary()
    with ExitStack() as undo:
        directory = _new_directory("prometheus", undo)
        settings = _write_settings(directory, targets, group, scale)
        (port,) = free_ports(1)
        address = f"{LOOPBACK}:{port}"
        options = [f"--config.file={settings}", f"--storage.tsdb.path={directory / 'data'}"]
        command = [str(binary), *options, f"--web.listen-address={address}", "--log.level=warn"]
        process = _spawn(command, directory, undo)
        url = f"http://{address}"
        _wait_for_process(process, directory, lambda: _is_ready(url))
        return PrometheusServer(url, _stop_at_exit(undo))


def _write_settings(directory: Path, targets: Sequence[str], group: str, scale: Scale) -> Path:
    settings = yaml.safe_load(SETTINGS.read_text())
    settings["global"] = {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"}
    settings["scrape_configs"][0]["static_configs"] = [{"targets": list(targets), "labels": {"group": group}}]
    (directory / RULES.name).write_text(rules_text(scale), encoding="utf-8")
    path = directory / SETTINGS.name
    path.write_text(yaml.safe_dump(settings))
    return path


def _is_ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/-/ready", timeout=ANSWER_TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except (URLError, ConnectionError):
        return False


def elapsed_since(start_s: float) -> int:
    """Whole seconds, at least one: for the window of a query over all of a run."""
    return max(int(time.time() - start_s), 1)
