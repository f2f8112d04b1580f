"""The judge of every experiment: reads the input topics and says what must have come out of them, and what did not.

Theory of operation. Nothing is taken from the worker but the order of the award log and its timestamps, which are the
truth by definition (design 2.2). Events are read from the input topics, scored by ``tests/oracle.py``, which shares no
code with the product, and compared with Redis and the crossing topic:

    scores      of every lead, from its events alone, whatever the log says, to 1e-9
    log         every event that the model names is there; what is there twice counts once, by its source position
    crossings   the oracle's, in the order of the log and of its ticks: no id missing, none besides, the same fields
    repeats     of one id have one key, one body and the same headers
    order       of a lead and threshold: sequences rise, by first appearance
    dead letters are the injected poison, and nothing else
    metrics     of every worker that lives: records consumed are the sum of their outcomes

Leads are judged one by one, so there must be no merges in the input, and one version of the model.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from leadscore.log.records import Frame, Tick
from tests.deployment import Deployment, _points_of, now_ms
from tests.e2e.metric_series import of_name, series
from tests.faults.inputs import Inputs, Position, dead_letters, read_inputs
from tests.faults.report import Figures
from tests.oracle import (
    Departure,
    Entry,
    Limits,
    Plain,
    _Lead,
    _World,
    event_types_of,
    first_departure,
    record_of,
    run,
)

TOLERANCE = 1e-9
COMPARED = ("lead_id", "threshold", "direction", "cause", "sequence", "score", "previous_score")
SHOWN = 5
"""Violations of one kind that are told in full."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """How much was judged, and what was wrong; empty: nothing."""

    events: int
    leads: int
    violations: tuple[str, ...]

    def __str__(self) -> str:
        return f"{len(self.violations)} violations: " + "; ".join(self.violations[:SHOWN])


class LogEntry(NamedTuple):
    """An event in the order of the log, or (without one) a tick for the lead."""

    event: Plain | None
    time_ms: int
    log_time_ms: int


@dataclass(slots=True)
class LogView:
    """What the log says of each lead, and the positions of the records that are in it."""

    by_lead: dict[str, list[LogEntry]] = field(default_factory=lambda: defaultdict(list))
    logged: set[Position] = field(default_factory=set)


def assert_holds(deployment: Deployment, figures: Figures) -> None:
    """Judge the deployment, note it for the experiment's line, and fail on any violation."""
    judgement = judge(deployment)
    figures.take(judgement)
    assert not judgement.violations, judgement


def judge(deployment: Deployment, limits: Limits = Limits(recent_events=8)) -> Judgement:  # noqa: B008
    """Everything of the list above, of a deployment whose workers have done all there is to do."""
    inputs = read_inputs(deployment)
    model = plain_model(deployment)
    by_lead = inputs.by_lead()
    log = view_of_log(deployment, inputs)
    violations = [
        *wrong_scores(model, by_lead, stored_scores(deployment, by_lead)),
        *missing_in_log(model, inputs, log),
        *wrong_crossings(expected_crossings(model, log, limits), deployment.crossings()),
        *different_repeats(deployment),
        *wrong_order(deployment.crossings()),
        *wrong_dead_letters(inputs, dead_letters(deployment)),
        *lost_counts(deployment),
    ]
    return Judgement(len(inputs.events), len(by_lead), tuple(violations))


def plain_model(deployment: Deployment) -> Plain:
    """The model as its file has it."""
    return dict(yaml.safe_load(deployment.model_path.read_text()))


# --- scores ---


def expected_scores(model: Plain, by_lead: Mapping[str, list[Plain]], at_ms: int) -> dict[str, float]:
    """Engagement and fit of each lead that has a score, by the oracle, from its events in any order."""
    plain = {**model, "thresholds": {}}
    scores: dict[str, float] = {}
    for lead_id, events in by_lead.items():
        lines = run(plain, [Entry(event, at_ms) for event in events], at_ms).scores
        scores.update((lead_id, line["engagement"] + line["fit"]) for line in lines)
    return scores


def stored_scores(deployment: Deployment, lead_ids: Iterable[str]) -> "Scores":
    """What Redis holds, read at one instant."""
    at_ms = now_ms()
    states = {lead_id: state for lead_id, state in deployment.stored(sorted(lead_ids)).items() if state is not None}
    return Scores(_points_of(deployment, states, at_ms), at_ms)


class Scores(NamedTuple):
    """Of leads, at an instant."""

    points: Mapping[str, float]
    at_ms: int


def wrong_scores(model: Plain, by_lead: Mapping[str, list[Plain]], scores: Scores) -> Iterator[str]:
    """Leads whose score is not that of their events."""
    for lead_id, expected in expected_scores(model, by_lead, scores.at_ms).items():
        points = scores.points.get(lead_id, 0.0)
        if abs(points - expected) > TOLERANCE * max(1.0, abs(expected)):
            yield f"score of {lead_id}: {points}, expected {expected}"


# --- the log ---


def view_of_log(deployment: Deployment, inputs: Inputs) -> LogView:
    """The events of the log in its order, without what it has a second time."""
    view = LogView()
    latest_ms: dict[int, int] = {}
    for partition, _, time_ms, record in deployment.log():
        log_ms = latest_ms[partition] = max(time_ms, latest_ms.get(partition, 0))
        if isinstance(record, Tick):
            for lead_id in record.lead_ids:
                view.by_lead[lead_id].append(LogEntry(None, record.time_ms, log_ms))
        elif isinstance(record, Frame):
            _view_frame(view, record, inputs, log_ms)
    return view


def _view_frame(view: LogView, frame: Frame, inputs: Inputs, log_ms: int) -> None:
    for award in frame.awards:
        source = frame.sources[award.source]
        position = Position(source.topic, source.partition, award.offset)
        if position not in view.logged:
            view.logged.add(position)
            view.by_lead[award.lead_id].append(LogEntry(inputs.events[position], award.occurred_at_ms, log_ms))


def missing_in_log(model: Plain, inputs: Inputs, log: LogView) -> Iterator[str]:
    """Events that the model has a rule for and that were matched nowhere."""
    for position, event in inputs.events.items():
        if position not in log.logged and event["type"] in event_types_of(model) and record_of(model, event).rules:
            yield f"not in the log: {event['type']} {event['event_id']} of {event['lead_id']} at {position}"


# --- crossings ---


class _Leads(_World):
    """A world that looks for the end of a stay no further than time has gone: nothing here asks for projections."""

    _until_ms = -1

    def _leave_by_time(self, lead_id: str, lead: _Lead, until_ms: int) -> None:
        self._until_ms = until_ms
        super()._leave_by_time(lead_id, lead, until_ms)
        self._until_ms = -1

    def _departure(self, lead: _Lead, name: str) -> Departure | None:
        assert lead.latest_ms is not None
        if lead.latest_ms >= self._until_ms:
            return None
        threshold, standing = self._thresholds[name], lead.standings[name]
        return first_departure(lead.history, threshold, standing, lead.latest_ms, self._until_ms)


def expected_crossings(model: Plain, log: LogView, limits: Limits) -> dict[str, Plain]:
    """The oracle's crossings by id: events in the order of the log, time only where a tick says so."""
    crossings: dict[str, Plain] = {}
    for lead_id, entries in log.by_lead.items():
        world = _Leads(model, limits)
        for entry in entries:
            world._time_ms = max(world._time_ms, entry.log_time_ms)
            if entry.event is not None:
                world.apply(record_of(model, entry.event), lead_id)
            elif (lead := world._leads.get(lead_id)) is not None:
                world._leave_by_time(lead_id, lead, entry.time_ms)
        crossings |= {crossing["id"]: crossing for crossing in world.crossings}
    return crossings


def wrong_crossings(expected: Mapping[str, Plain], published: list[dict[str, Any]]) -> Iterator[str]:
    """Crossings that are missing, that nothing has caused, or that say something else."""
    by_id = {crossing["id"]: crossing for crossing in published}
    yield from (f"missing crossing: {_words(expected[one])}" for one in expected.keys() - by_id.keys())
    yield from (f"crossing without a cause: {_words(by_id[one])}" for one in by_id.keys() - expected.keys())
    for crossing_id in expected.keys() & by_id.keys():
        for name in COMPARED:
            if not _same(expected[crossing_id][name], by_id[crossing_id][name]):
                yield (
                    f"crossing {crossing_id}: {name} {by_id[crossing_id][name]}, expected {expected[crossing_id][name]}"
                )


def _same(one: Any, other: Any) -> bool:
    return abs(one - other) <= TOLERANCE * max(1.0, abs(one)) if isinstance(one, float) else bool(one == other)


def _words(crossing: Mapping[str, Any]) -> str:
    return " ".join(str(crossing[name]) for name in ("lead_id", "threshold", "direction", "sequence", "id"))


def different_repeats(deployment: Deployment) -> Iterator[str]:
    """Ids that were published with more than one key, body or set of headers."""
    for crossing_id, copies in deployment.published().items():
        if len({(copy.key, copy.value, repr(copy.headers)) for copy in copies}) > 1:
            yield f"crossing {crossing_id}: its {len(copies)} copies are not the same"


def wrong_order(published: list[dict[str, Any]]) -> Iterator[str]:
    """Leads whose crossings of a threshold first appear in another order than that of their sequence."""
    last: dict[tuple[str, str], int] = {}
    seen: set[str] = set()
    for crossing in published:
        if crossing["id"] in seen:
            continue
        seen.add(crossing["id"])
        of = crossing["lead_id"], crossing["threshold"]
        if crossing["sequence"] <= last.get(of, 0):
            yield f"sequence of {of[0]} in {of[1]}: {crossing['sequence']} after {last[of]}"
        last[of] = crossing["sequence"]


# --- dead letters and metrics ---


def wrong_dead_letters(inputs: Inputs, dead: set[Position]) -> Iterator[str]:
    """Poison that is no dead letter, and dead letters that were no poison."""
    yield from (f"no dead letter: the poison at {position}" for position in inputs.poison - dead)
    yield from (f"a dead letter that was no poison: {position}" for position in dead - inputs.poison)


def lost_counts(deployment: Deployment) -> Iterator[str]:
    """Workers that live and whose records consumed are not the sum of their outcomes, or that hold some still."""
    for worker in deployment.workers:
        if worker.process.poll() is None:
            metrics = series(worker.get("/metrics")[1])
            consumed = sum(of_name(metrics, "leadscore_records_consumed_total"))
            outcomes = sum(of_name(metrics, "leadscore_records_processed_total"))
            outcomes += sum(of_name(metrics, "leadscore_records_reread_total"))
            if consumed != outcomes:
                yield f"{worker.log_path.name}: {consumed:.0f} records consumed, {outcomes:.0f} outcomes"
