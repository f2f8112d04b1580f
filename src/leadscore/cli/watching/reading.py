"""A deployment at an instant, out of two answers of each of its workers. Values in, values out."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from leadscore.cli.watching.scrape import Scrape

LATENCIES = ("leadscore_record_to_crossing_seconds", "leadscore_decision_to_publish_seconds")
"""The first that has observations is shown."""
QUANTILES = (0.5, 0.99)
_RATES = {
    "records": ("leadscore_records_consumed_total", {}),
    "applied": ("leadscore_awards_total", {"outcome": "applied"}),
    "crossings": ("leadscore_crossings_published_total", {}),
    "dead_letters": ("leadscore_dead_letters_total", {}),
}


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A worker; ``problem`` says why it is not ready, or does not answer, and is empty otherwise."""

    url: str
    answers: bool
    ready: bool
    version: str
    model: str
    records_per_s: float
    partitions: dict[str, int]
    problem: str


class Latency(msgspec.Struct, frozen=True):
    """Quantiles in seconds, by name (``p50``), of a histogram: of the last interval, or of all since the start."""

    metric: str
    since: str
    observations: int
    quantiles: dict[str, float]


class Stopped(msgspec.Struct, frozen=True):
    """Partitions of a worker's stage that wait for an operator's decision."""

    url: str
    stage: str
    partitions: int
    detail: str


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What all workers together do; lag is by topic, ``lag_s`` ``None`` where no worker tells it."""

    workers: list[WorkerRow]
    per_s: dict[str, float]
    lag_records: dict[str, int]
    lag_s: float | None
    latency: Latency | None
    stopped: list[Stopped]


def load_of(before: Sequence[Scrape], after: Sequence[Scrape]) -> Load:
    """The load between two answers of the same workers, in the same order."""
    pairs = list(zip(before, after, strict=True))
    per_s = {name: sum(_rate(pair, *of) for pair in pairs) for name, of in _RATES.items()}
    return Load(
        workers=[_row(pair) for pair in pairs],
        per_s=per_s,
        lag_records=_lag_records(after),
        lag_s=max((value for one in after for _, value in one.of("leadscore_consumer_lag_seconds")), default=None),
        latency=_latency(pairs),
        stopped=[stopped for one in after for stopped in _stopped(one)],
    )


def _row(pair: tuple[Scrape, Scrape]) -> WorkerRow:
    _, now = pair
    failing = [f"{name}: {detail}" for name, (is_ok, detail) in now.checks.items() if not is_ok]
    build, model = _labels(now, "leadscore_build_info"), _labels(now, "leadscore_model_info")
    return WorkerRow(
        url=now.url,
        answers=not now.problem,
        ready=not now.problem and not failing,
        version=build.get("version", ""),
        model=f"{model['model']} {model['version']}" if model else "",
        records_per_s=_rate(pair, *_RATES["records"]),
        partitions={labels["stage"]: int(value) for labels, value in now.of("leadscore_assigned_partitions")},
        problem=now.problem or "; ".join(failing),
    )


def _labels(scrape: Scrape, name: str) -> dict[str, str]:
    return next((labels for labels, _ in scrape.of(name)), {})


def _rate(pair: tuple[Scrape, Scrape], name: str, labels: Mapping[str, str]) -> float:
    """Per second; a counter that is lower than before began anew with its process."""
    before, after = pair
    if before.problem or after.problem or after.at_s <= before.at_s:
        return 0.0
    first, last = before.total(name, **labels), after.total(name, **labels)
    return (last - first if last >= first else last) / (after.at_s - before.at_s)


def _lag_records(scrapes: Iterable[Scrape]) -> dict[str, int]:
    lags: dict[str, int] = {}
    for scrape in scrapes:
        for labels, value in scrape.of("leadscore_consumer_lag_records"):
            lags[labels["topic"]] = lags.get(labels["topic"], 0) + int(value)
    return dict(sorted(lags.items()))


def _stopped(scrape: Scrape) -> list[Stopped]:
    stopped = [(labels["stage"], int(value)) for labels, value in scrape.of("leadscore_stopped_partitions") if value]
    details = {name: detail for name, (_, detail) in scrape.checks.items()}
    return [
        Stopped(scrape.url, stage, partitions, details.get(f"{stage}_running", "")) for stage, partitions in stopped
    ]


# Latency


def _latency(pairs: Sequence[tuple[Scrape, Scrape]]) -> Latency | None:
    for metric in LATENCIES:
        total = _added([_buckets(after, metric) for _, after in pairs])
        if not total or not total[-1][1]:
            continue
        of_interval = _added([_grown(_buckets(before, metric), _buckets(after, metric)) for before, after in pairs])
        is_recent = bool(of_interval and of_interval[-1][1])
        buckets = of_interval if is_recent else total
        quantiles = {f"p{round(100 * share)}": quantile_of(buckets, share) for share in QUANTILES}
        return Latency(metric, "last interval" if is_recent else "start", int(buckets[-1][1]), quantiles)
    return None


Buckets = list[tuple[float, float]]
"""Upper bound and number of observations up to it, bound by bound."""


def _buckets(scrape: Scrape, metric: str) -> Buckets:
    return sorted((float(labels["le"]), value) for labels, value in scrape.of(f"{metric}_bucket"))


def _grown(before: Buckets, after: Buckets) -> Buckets:
    """What was observed in between; all of it where the process began anew."""
    earlier = dict(before)
    grown = [(bound, number - earlier.get(bound, 0.0)) for bound, number in after]
    return after if any(number < 0 for _, number in grown) else grown


def _added(histograms: Iterable[Buckets]) -> Buckets:
    totals: dict[float, float] = {}
    for buckets in histograms:
        for bound, number in buckets:
            totals[bound] = totals.get(bound, 0.0) + number
    return sorted(totals.items())


def quantile_of(buckets: Buckets, share: float) -> float:
    """The quantile as Prometheus computes it: linear within its bucket; of the last one its lower bound."""
    rank = share * buckets[-1][1]
    lower, below = 0.0, 0.0
    for bound, number in buckets:
        if number >= rank and number > below:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (rank - below) / (number - below)
        lower, below = (bound if bound != float("inf") else lower), number
    return lower
