"""What ``leadscore top`` shows: the deployment as lines of text. Values in, text out."""

from collections.abc import Iterator

import msgspec

from leadscore.cli.columns import aligned, length_of_time
from leadscore.cli.list import ListedLead
from leadscore.cli.watching.crossings import SeenCrossing
from leadscore.cli.watching.reading import Latency, Load, WorkerRow
from leadscore.time_units import SECOND_MS

REASONS_SHOWN = 3
IN_SECONDS_UP_TO_S = 120.0
"""Longer times are of a backfill: whole units say them better."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment at an instant. What could not be read is ``None``, and ``notes`` say why."""

    at: str
    load: Load
    crossings: list[SeenCrossing] | None
    hottest: list[ListedLead] | None
    notes: list[str]


def lines_of(snapshot: Snapshot) -> Iterator[str]:
    """The snapshot, section by section; a heading has no indent."""
    yield f"leadscore at {snapshot.at}"
    yield from _load(snapshot.load)
    yield from _workers(snapshot.load.workers)
    if snapshot.load.stopped:
        yield "Stopped partitions: they wait for a decision"
        for stopped in snapshot.load.stopped:
            yield f"  {stopped.partitions} of {stopped.stage} at {stopped.url}: {stopped.detail}"
    if snapshot.crossings is not None:
        yield "Last crossings"
        yield from _indented(aligned([_crossing_row(one) for one in snapshot.crossings], right=(4,)), "none yet")
    if snapshot.hottest is not None:
        yield "Hottest leads"
        yield from _indented(aligned([_lead_row(one) for one in snapshot.hottest], right=(1,)), "none in a threshold")
    yield from (f"note: {note}" for note in snapshot.notes)


def _load(load: Load) -> Iterator[str]:
    rates = "  ".join(f"{name.replace('_', ' ')} {rate:,.1f}/s" for name, rate in load.per_s.items())
    yield f"Throughput  {rates}"
    seconds = "" if load.lag_s is None else f", oldest waits {_length(load.lag_s, decimals=1)}"
    waiting = "".join(f"; {topic} {lag:,}" for topic, lag in load.lag_records.items() if lag)
    yield f"Lag         {sum(load.lag_records.values()):,} records{seconds}{waiting}"
    yield f"Latency     {_latency(load.latency)}"


def _latency(latency: Latency | None) -> str:
    if latency is None:
        return "no crossing was published yet"
    quantiles = "  ".join(f"{name} {_length(seconds, decimals=3)}" for name, seconds in latency.quantiles.items())
    what = latency.metric.removeprefix("leadscore_").removesuffix("_seconds").replace("_", " ")
    return f"{quantiles}  ({what}, {latency.observations:,} since {latency.since})"


def _length(seconds: float, decimals: int) -> str:
    if seconds < IN_SECONDS_UP_TO_S:
        return f"{seconds:.{decimals}f} s"
    return length_of_time(round(seconds * SECOND_MS))


def _workers(workers: list[WorkerRow]) -> Iterator[str]:
    ready = sum(worker.ready for worker in workers)
    yield f"Workers     {ready} of {len(workers)} ready"
    yield from _indented(aligned([_worker_row(worker) for worker in workers], right=(4,)), "")


def _worker_row(worker: WorkerRow) -> tuple[str, ...]:
    state = "ready" if worker.ready else "not ready" if worker.answers else "no answer"
    partitions = ", ".join(f"{stage} {number}" for stage, number in worker.partitions.items())
    rate = f"{worker.records_per_s:,.1f}/s" if worker.answers else ""
    return (worker.url, state, worker.version, worker.model, rate, partitions, worker.problem)


def _crossing_row(crossing: SeenCrossing) -> tuple[str, ...]:
    score = "" if crossing.score is None else f"{crossing.score:.1f}"
    why = ", ".join(crossing.reasons[:REASONS_SHOWN])
    return (
        crossing.decided_at,
        crossing.lead_id,
        crossing.direction,
        crossing.threshold,
        score,
        crossing.cause.lower(),
        why,
    )


def _lead_row(lead: ListedLead) -> tuple[str, ...]:
    age_ms = max(lead.at_ms - lead.latest_record_ms, 0) // SECOND_MS * SECOND_MS
    reason = "" if lead.reason is None else f"{lead.reason.name} {lead.reason.points:+.1f}"
    return (
        lead.lead_id,
        f"{lead.score:.1f}",
        lead.band,
        ", ".join(lead.thresholds),
        reason,
        f"{length_of_time(age_ms)} ago",
    )


def _indented(lines: list[str], otherwise: str) -> Iterator[str]:
    yield from (f"  {line}" for line in lines or ([otherwise] if otherwise else []))
