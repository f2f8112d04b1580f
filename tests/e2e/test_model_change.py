"""Version 3 of the model becomes version 4 in a running system, worker by worker, under load (design 2.6)."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from leadscore.events.event import Event
from leadscore.log.records import partition_of
from leadscore.scoring.context import FoldContext, FoldSettings
from leadscore.scoring.fold import under_model_in_force
from leadscore.scoring.score import main_score_at
from leadscore.scoring.state import encode_state
from leadscore.time_units import DAY_MS
from tests.deployment import (
    LOG_PARTITIONS,
    Deployment,
    WorkerProcess,
    assert_as_folded,
    frames,
    now_ms,
    wandering_events,
)
from tests.servers import wait_until

pytestmark = pytest.mark.lasting_leads

PAGE = {"event": "website.page_view"}
PRICING = {"event": "website.page_view", "where": {"path": "/pricing"}}
CLICK = {"event": "email.click"}
THRESHOLDS = {"mql": {"enter": 50, "exit": 35}, "hot": {"enter": 80, "exit": 60}}
MODELS: dict[int, dict[str, Any]] = {
    3: {
        "model": "changing",
        "version": 3,
        "decay": {"half_life": "30d"},
        "rules": {
            "page": {**PAGE, "points": 5},
            "pricing": {**PRICING, "points": 10},
            "click": {**CLICK, "points": 10, "decay": {"half_life": "10d"}},
            "brochure": {"event": "website.form_submitted", "points": 60},
            "unsubscribe": {"event": "email.unsubscribe", "points": -45},
            "attended": {"event": "webinar.attended", "points": 25},
            "no_show": {"event": "webinar.no_show", "points": -40},
        },
        "thresholds": THRESHOLDS,
    },
    # Reordered; ``brochure`` removed; ``blog`` added; ``pricing``, ``no_show`` re-weighted; ``click`` decays faster.
    4: {
        "model": "changing",
        "version": 4,
        "decay": {"half_life": "30d"},
        "rules": {
            "no_show": {"event": "webinar.no_show", "points": -15},
            "blog": {"event": "website.page_view", "where": {"path": "/blog"}, "points": 3},
            "attended": {"event": "webinar.attended", "points": 25},
            "click": {**CLICK, "points": 10, "decay": {"half_life": "2d"}},
            "page": {**PAGE, "points": 5},
            "unsubscribe": {"event": "email.unsubscribe", "points": -45},
            "pricing": {**PRICING, "points": 20},
        },
        "thresholds": THRESHOLDS,
    },
}
QUIET_LEADS = [f"quiet-{number}" for number in range(8)]
OTHER_LEADS = 200
"""Enough that each has fewer events than it remembers: then a model's change of decay is exact."""
STEP_EVENTS, STEP_S = 10, 0.1
"""A pace at which they last for the whole test, on a fast machine, too."""


class Load:
    """Events sent a few at a time, and which they were."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._waiting = iter(wandering_events("load", 4_000, OTHER_LEADS))
        self.sent: list[Event] = []
        self._sent_at_s = 0.0

    def send(self, events: Iterable[Event]) -> None:
        self.sent += (batch := list(events))
        self._deployment.send_now(batch)

    def go_on_until(self, is_enough: Callable[[], bool], what: str) -> None:
        def step() -> bool:
            if monotonic() - self._sent_at_s >= STEP_S:
                self._sent_at_s = monotonic()
                self.send(islice(self._waiting, STEP_EVENTS))
            return is_enough()

        wait_until(step, 30, what)


def test_a_new_model_version_is_rolled_over_two_workers_under_load(deploy: Callable[..., Deployment]) -> None:
    deployment = deploy(MODELS[3])
    load = Load(deployment)
    first, second = deployment.start_worker(), deployment.start_worker()
    load.send(Event("website.form_submitted", f"{lead}-1", lead, now_ms(), {}) for lead in QUIET_LEADS)
    load.go_on_until(lambda: is_working(first) and is_working(second), "both workers to work")
    wait_until(lambda: {"ENTER"} == directions(deployment, QUIET_LEADS), 20, "the quiet leads to enter")

    deployment.use_model(MODELS[4])
    change_worker(load, first, deployment)
    load.go_on_until(lambda: has_an_older_frame_after_a_newer(deployment), "frames of both versions")
    change_worker(load, second, deployment)
    load.go_on_until(lambda: shards_with_version_4(deployment) == set(range(LOG_PARTITIONS)), "version 4 everywhere")
    wait_until(lambda: "LEAVE" in directions(deployment, QUIET_LEADS), 20, "a quiet lead to leave")
    deployment.wait_until_settled()

    leads = {event.lead_id for event in load.sent}
    assert_as_folded(deployment, leads)
    assert_awards_kept_their_points(deployment, load.sent)
    assert_quiet_leads_left(deployment)
    assert_a_replay_gives_the_same(deployment, leads)


def change_worker(load: Load, worker: WorkerProcess, deployment: Deployment) -> None:
    """Stop a worker and start another, with the model in use now, while events go on coming."""
    worker.process.terminate()
    load.go_on_until(lambda: worker.process.poll() is not None, "the old worker to end")
    assert worker.process.returncode == 0
    successor = deployment.start_worker()
    load.go_on_until(lambda: is_working(successor), "the new worker to work")


def is_working(worker: WorkerProcess) -> bool:
    worker.check()
    return bool(worker.said("shards_started"))


def versions_in_log(deployment: Deployment) -> dict[int, list[int]]:
    """The model version of every frame, by partition, in order."""
    versions: dict[int, list[int]] = {number: [] for number in range(LOG_PARTITIONS)}
    for partition, _, frame in frames(deployment.log()):
        versions[partition].append(frame.model_version)
    return versions


def has_an_older_frame_after_a_newer(deployment: Deployment) -> bool:
    return any(versions != sorted(versions) for versions in versions_in_log(deployment).values())


def shards_with_version_4(deployment: Deployment) -> set[int]:
    return {partition for partition, versions in versions_in_log(deployment).items() if 4 in versions}


def directions(deployment: Deployment, leads: list[str]) -> set[str]:
    """What the latest crossing of each of the leads is; empty while one of them has none."""
    latest = {crossing["lead_id"]: crossing["direction"] for crossing in deployment.crossings()}
    return {latest[lead] for lead in leads} if latest.keys() >= set(leads) else set()


def assert_awards_kept_their_points(deployment: Deployment, events: list[Event]) -> None:
    """An event has the points of the version that matched it, decaying as version 4 says, if version 4 has the rule."""
    matched_by: dict[str, int] = {}
    for _, _, frame in frames(deployment.log()):
        for award in frame.awards:
            matched_by.setdefault(award.event_id, frame.model_version)
    assert set(matched_by.values()) == {3, 4}
    at_ms = now_ms()
    expected: dict[str, float] = {}
    for event in events:
        version = matched_by.get(event.event_id)
        worth = 0.0 if version is None else sum(worth_now(event, version, at_ms))
        expected[event.lead_id] = expected.get(event.lead_id, 0.0) + worth
    context = FoldContext(deployment.models[4], None, deployment.models.__getitem__, at_ms, FoldSettings())
    scores = {
        lead: main_score_at(under_model_in_force(state, context), context.model, at_ms).unclamped
        for lead, state in deployment.stored(expected).items()
        if state is not None
    }
    assert scores == pytest.approx(expected, abs=1e-9)


def worth_now(event: Event, version: int, at_ms: int) -> Iterator[float]:
    """What the event's awards under that version are worth under version 4, straight from the definitions."""
    for name, rule in MODELS[version]["rules"].items():
        where = rule.get("where", {})
        if rule["event"] == event.type and all(event.fields.get(field) == value for field, value in where.items()):
            in_force = MODELS[4]["rules"].get(name)
            if in_force is not None:
                half_life = in_force.get("decay", MODELS[4]["decay"])["half_life"]
                yield rule["points"] * 0.5 ** ((at_ms - event.occurred_at_ms) / (int(half_life[:-1]) * DAY_MS))


def assert_quiet_leads_left(deployment: Deployment) -> None:
    """What they were worth is worth nothing since version 4 is in force, and no event of theirs said so."""
    since_ms: dict[int, int] = {}
    for partition, _, time_ms, record in deployment.log():
        if getattr(record, "model_version", 0) == 4:
            since_ms.setdefault(partition, time_ms)
    left = (crossing for crossing in deployment.crossings() if crossing["direction"] == "LEAVE")
    leaves = [crossing for crossing in left if crossing["lead_id"] in QUIET_LEADS]
    assert sorted({leave["lead_id"] for leave in leaves}) == QUIET_LEADS
    for leave in leaves:
        assert (leave["cause"], leave["trigger"], leave["model_version"]) == ("TIME", None, 4)
        assert leave["score"] == 0
        shard = partition_of(leave["lead_id"], LOG_PARTITIONS)
        assert round(leave["occurred_at"].timestamp() * 1000) == since_ms[shard]


def assert_a_replay_gives_the_same(deployment: Deployment, leads: set[str]) -> None:
    """The log into an empty Redis: the same states, and every crossing is published again, byte for byte the same."""
    published = deployment.published()
    states = encoded_states(deployment, leads)
    for worker in deployment.workers:
        assert worker.terminate() == 0
    deployment.lose_everything()
    deployment.read_log_again()
    deployment.start_worker()
    deployment.wait_until_settled()
    again = deployment.published()
    assert {crossing_id: set(map(str, copies)) for crossing_id, copies in again.items()} == {
        crossing_id: set(map(str, copies)) for crossing_id, copies in published.items()
    }
    assert all(len(again[crossing_id]) > len(copies) for crossing_id, copies in published.items())
    assert encoded_states(deployment, leads) == states
    assert_as_folded(deployment, leads)


def encoded_states(deployment: Deployment, leads: set[str]) -> dict[str, bytes]:
    """But for when to look again: a new owner looks at every lead in a threshold, and says it anew."""
    states = deployment.stored(sorted(leads))
    return {lead: encode_state(replace(state, due_ms=None)) for lead, state in states.items() if state is not None}


def test_the_same_version_with_other_content_and_an_older_version_are_refused(
    deploy: Callable[..., Deployment],
) -> None:
    deployment = deploy(MODELS[3])
    older = str(deployment.model_path)
    deployment.use_model(MODELS[4])
    running = deployment.start_worker()
    wait_until(lambda: is_working(running), 30, "version 4 in force")

    changed = {**MODELS[4], "rules": {**MODELS[4]["rules"], "page": {**PAGE, "points": 6}}}
    other_content = deployment.folder / "changed.yaml"
    other_content.write_text(yaml.safe_dump(changed, sort_keys=False))
    refused(deployment, other_content, "version 4 is published with other content", "give the changed model version 5")
    refused(deployment, Path(older), "version 3 is older than version 4", "run version 4, or give", "above 4")
    assert running.terminate() == 0


def refused(deployment: Deployment, model_path: Path, *parts: str) -> None:
    """The worker ends at once with 2, and its last line, for people, says why and what to do."""
    worker = deployment.start_worker(LEADSCORE_MODEL=str(model_path))
    worker.wait_for_death(30)
    assert worker.process.returncode == 2, worker.tail()
    last_line = worker.log_path.read_text().splitlines()[-1]
    assert [part for part in parts if part not in last_line] == []
    assert "Traceback" not in worker.tail()
    assert worker.said("shards_started") == []
