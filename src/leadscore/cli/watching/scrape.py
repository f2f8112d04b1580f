"""What a worker tells over HTTP: its metrics, and by ``/readyz`` why it waits."""

import json
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from time import monotonic
from typing import NamedTuple, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from leadscore.errors import ConfigError

TIMEOUT_S = 2.0
MOST_BYTES = 8 * 1024 * 1024

Labels = tuple[tuple[str, str], ...]
"""Names and values, in the order of the names."""


class Scrape(NamedTuple):
    """One answer of one worker. ``samples`` are by name and labels; ``checks`` are those of ``/readyz``.

    ``problem`` says why there is no answer; it is empty where there is one.
    """

    url: str
    at_s: float
    samples: dict[tuple[str, Labels], float]
    checks: dict[str, tuple[bool, str]]
    problem: str = ""

    def total(self, name: str, **labels: str) -> float:
        """The sum of the series that have these labels."""
        return sum(value for series, value in self.of(name) if labels.items() <= series.items())

    def of(self, name: str) -> list[tuple[dict[str, str], float]]:
        """The series of a name."""
        return [(dict(labels), value) for (series, labels), value in self.samples.items() if series == name]


def address_of(text: str) -> str:
    """The address of a worker's HTTP port, of ``host:port`` or a URL."""
    url = text if "://" in text else f"http://{text}"
    parts = urlsplit(url)
    try:
        is_address = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        is_address = False
    if not is_address:
        raise ConfigError(f"worker: {text!r}: expected host:port or an address that begins with http:// or https://")
    return url.rstrip("/").removesuffix("/metrics")


def scrape_all(urls: list[str]) -> list[Scrape]:
    """All workers, asked at the same time."""
    with ThreadPoolExecutor(max_workers=min(16, len(urls))) as pool:
        return list(pool.map(scrape, urls))


def scrape(url: str) -> Scrape:
    """One worker; a worker that does not answer is told in ``problem``."""
    try:
        metrics = _get(f"{url}/metrics")
        at_s = monotonic()
        samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(metrics)
            for sample in family.samples
        }
        return Scrape(url, at_s, samples, _checks(_get(f"{url}/readyz")))
    except URLError as error:
        return _silent(url, str(error.reason))
    except (OSError, HTTPException, ValueError) as error:
        return _silent(url, f"{type(error).__name__}: {error}")


def _silent(url: str, problem: str) -> Scrape:
    return Scrape(url, monotonic(), {}, {}, problem)


def _get(url: str) -> str:
    try:
        response = urlopen(url, timeout=TIMEOUT_S)  # noqa: S310 - see address_of
    except HTTPError as error:
        response = error  # 503 of /readyz has a body like any other
    with response:
        return cast("bytes", response.read(MOST_BYTES)).decode()


def _checks(body: str) -> dict[str, tuple[bool, str]]:
    checks = json.loads(body).get("checks", {})
    return {name: (bool(check["ok"]), str(check["detail"])) for name, check in checks.items()}
