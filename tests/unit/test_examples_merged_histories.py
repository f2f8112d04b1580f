"""examples/crm_sync on what ``simulate`` makes of random histories with merges: the tasks are those of who is in."""

from random import Random

import msgspec
import pytest

from crm_sync.__main__ import Sync
from leadscore.events.event import Event
from leadscore.model.definition import ModelDefinition
from leadscore.pipeline.score.publishing import json_encoding
from leadscore.scoring.crossing import Cause, Crossing, Direction
from leadscore.scoring.simulation import Simulation, simulate
from subscriber import Decoder
from tests.http_stand_in import Crm
from tests.unit.crashing_sync import ROOT, CrashingApi, Records, run, tasks, work

MODEL = msgspec.convert(
    {
        "model": "merged",
        "version": 1,
        "decay": {"half_life": "5d"},
        "rules": {
            "page": {"event": "website.page_view", "points": 25},
            "attended": {"event": "webinar.attended", "points": 60},
            "unsubscribe": {"event": "email.unsubscribe", "points": -70},
            "complaint": {"event": "email.complaint", "points": 0, "disqualifies": "complained"},
        },
        "thresholds": {"mql": {"enter": 50, "exit": 30}, "hot": {"enter": 80, "exit": 60}},
    },
    ModelDefinition,
)
TYPES = ("website.page_view",) * 4 + ("webinar.attended",) * 2 + ("email.unsubscribe",)
LEADS = "abcde"
DAY_MS = 86_400_000
START_MS = 1_767_607_200_000
HISTORIES, ORDERS = 80, 3


def history(random: Random) -> Simulation:
    events = []
    for number in range(random.randint(5, 40)):
        at_ms = START_MS + number * DAY_MS // 4
        lead, other = random.choice(LEADS), random.choice(LEADS)
        is_merge = random.random() < 0.2
        type_ = "command.merge" if is_merge else random.choice([*TYPES, *["email.complaint"] * (number == 20)])
        events.append(Event(type_, f"e{number}", lead, at_ms, {"into": other} if is_merge else {}))
    return simulate(MODEL, ((event, event.occurred_at_ms) for event in events), START_MS + 11 * DAY_MS)


def records_of(crossings: list[Crossing], *, by_lead: bool = True) -> Records:
    decoder, encoding = Decoder("crossing", str(ROOT / "schemas")), json_encoding()
    records: Records = {}
    for crossing in crossings:
        records.setdefault(crossing.lead_id if by_lead else "", []).append(decoder.decode(encoding.encode(crossing)))
    return records


def open_stays(crossings: list[Crossing]) -> dict[str, str]:
    """The lead of every enter that no leave has ended."""
    ended = {crossing.entered_id for crossing in crossings}
    enters = [crossing for crossing in crossings if crossing.direction == Direction.ENTER]
    return {crossing.id: crossing.lead_id for crossing in enters if crossing.id not in ended}


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_the_open_tasks_are_those_of_the_leads_that_are_in(seed: int) -> None:
    simulated = history(Random(seed))
    expected = open_stays(simulated.crossings)
    is_in = [score.lead_id for score in simulated.scores for place in score.thresholds.values() if place == "in"]
    assert sorted(expected.values()) == sorted(is_in)
    for order in range(ORDERS):
        crm = run(records_of(simulated.crossings), Random(1_000 * seed + order))
        assert tasks(crm) == expected
        scored = {name for name, contact in crm.contacts.items() if contact.get("score") is not None}
        assert scored >= set(expected.values())


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_in_the_order_decided_every_qualification_has_one_task_under_all_its_ids(seed: int) -> None:
    crossings = history(Random(seed)).crossings
    crm = Crm()
    sync = Sync(CrashingApi(crm), None)  # type: ignore[arg-type]
    for record in records_of(crossings, by_lead=False)[""]:
        work(sync, record)
    qualifications = [one for one in crossings if one.direction == Direction.ENTER and one.merged_with is None]
    assert len(crm.tasks) == len(qualifications)
    assert tasks(crm) == open_stays(crossings)


def test_the_histories_have_merges_of_every_sort() -> None:
    crossings = [crossing for seed in range(HISTORIES) for crossing in history(Random(seed)).crossings]
    merged = {(one.direction, one.merged_with is not None) for one in crossings if one.cause == Cause.MERGED}
    assert merged >= {(Direction.LEAVE, True), (Direction.ENTER, True), (Direction.ENTER, False)}
