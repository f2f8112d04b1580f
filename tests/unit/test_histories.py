"""The random models and logs themselves: what is missing from them is not compared."""

from collections.abc import Iterator
from itertools import product

import pytest

from leadscore.log.records import COMMANDS
from tests import histories, random_models
from tests.oracle import ADJUST, DAY_MS, ERASE, MERGE, PROFILE, RETRACT, Entry, Plain
from tests.random_models import ALL, PEOPLE, TYPES
from tests.unit.never_seen import never_seen
from tests.unit.schema_keys import keys_of_the_schema, keys_within

pytestmark = pytest.mark.timeout(900)  # it looks until it has seen everything

DECAYS = {"half_life", "steps", "linear", "expire", "none"}


def test_random_models_use_every_key_of_the_model_file_in_every_place() -> None:
    expected = keys_of_the_schema() | expected_combinations()
    assert never_seen(expected, random_models.models(ALL), combinations) == set()


def test_random_logs_have_everything_that_can_happen_to_a_lead() -> None:
    expected = {"late", "in time", "ahead", "twice", "equal times", "forgotten", "one id, two types"}
    expected |= {"after its retraction", "after its retraction, any type"}
    expected |= {f"{how} {what} retracted" for how in (None, "one") for what in (TYPES[0], ADJUST, PROFILE)}
    expected |= {"after an erase", "up to an erase"} | COMMANDS - {MERGE}
    assert never_seen(expected, histories.logs(ALL), happenings) == set()


def test_random_logs_of_people_have_merges_of_every_kind() -> None:
    expected = {"of a lead", "of an alias", "into an alias", "into itself", "again", "in a circle"}
    expected |= {f"{event_type} under an alias" for event_type in (*TYPES, *COMMANDS)} | {"under two ids"}
    assert never_seen(expected, histories.logs(PEOPLE), happenings_to_people) == set()


# --- models ---------------------------------------------------------------------------------------------------------


def expected_combinations() -> set[str]:
    decays = {f"{place} decays by {decay}" for place, decay in product(("rule", "group", "model"), DECAYS)}
    limits = {f"limit per {per}" for per in ("day", "week", "month", "forever")}
    leaves = {f"{how} of {leaf}" for how, leaf in product(("all", "any", "not"), ("count", "quiet", "attribute"))}
    nested = {f"{how} of {inner}" for how, inner in product(("all", "any", "not"), repeat=2)}
    points = {"points of a field", "several types"}
    effects = {"points in a group", "points and disqualifies", "disqualifies alone", "three thresholds"}
    selections = {
        "burst and once",
        "burst and limit",
        "once and limit",
        "a selection qualifies",
        "a selection disqualifies",
        "a selection recycles",
    }
    return decays | limits | points | leaves | nested | effects | selections


def combinations(model: Plain) -> Iterator[str]:
    yield from keys_within(model)
    yield f"model decays by {kind_of(model['decay'])}"
    yield from (f"group decays by {kind_of(group['decay'])}" for group in model["groups"].values() if "decay" in group)
    for rule in model["rules"].values():
        yield from of_rule(rule)
    for condition in model["conditions"].values():
        yield from of_when(condition["when"])
        effects = {"points", "disqualifies", "group"} & set(condition)
        yield "points in a group" if "group" in effects else " and ".join(sorted(effects, reverse=True))
        if effects == {"disqualifies"}:
            yield "disqualifies alone"
        if {"points", "disqualifies"} <= effects:
            yield "points and disqualifies"
    if len(model["thresholds"]) == 3:
        yield "three thresholds"


def kind_of(decay: Plain | str) -> str:
    return decay if isinstance(decay, str) else next(iter(decay))


def of_rule(rule: Plain) -> Iterator[str]:
    if isinstance(rule["points"], dict):
        yield "points of a field"
    if len(rule["event"]) > 1 and isinstance(rule["event"], list):
        yield "several types"
    if "decay" in rule:
        yield f"rule decays by {kind_of(rule['decay'])}"
    if "limit" in rule:
        yield f"limit per {rule['limit']['per']}"
    short = {"exclude_burst": "burst", "once_per": "once", "limit": "limit"}
    has = [word for key, word in short.items() if key in rule]
    yield from (f"{one} and {other}" for one, other in product(has, repeat=2))
    yield from (
        f"a selection {effect}" for effect in ("qualifies", "disqualifies", "recycles") if has and effect in rule
    )


def of_when(when: Plain) -> Iterator[str]:
    ((kind, inner),) = when.items()
    for part in inner if kind in ("all", "any") else [inner] if kind == "not" else []:
        yield f"{kind} of {next(iter(part))}"
        yield from of_when(part)


# --- logs -----------------------------------------------------------------------------------------------------------


def happenings(log: list[Entry]) -> Iterator[str]:
    seen: dict[tuple[str, str, str], Plain] = {}
    retracted: set[tuple[str, str | None, str]] = set()
    erased_ms: dict[str, int] = {}
    latest_ms: dict[str, int] = {}
    for entry in log:
        event = entry.event
        yield event["type"]
        lead, occurred_ms = event["lead_id"], event["occurred_at"]
        apart_ms = occurred_ms - entry.log_time_ms
        yield "late" if apart_ms < 0 else "ahead" if apart_ms > 0 else "in time"
        identity = (lead, event["type"], event["event_id"])
        if identity in seen:
            yield "twice"
        if any(one[::2] == identity[::2] and one != identity for one in seen):
            yield "one id, two types"
        if any(one["lead_id"] == lead and one["occurred_at"] == occurred_ms for one in seen.values()):
            yield "equal times"
        by = {one[1] for one in retracted if one[::2] == identity[::2]} & {None, event["type"]}
        yield from ("after its retraction, any type" if one is None else "after its retraction" for one in by)
        if lead in erased_ms:
            yield "up to an erase" if occurred_ms <= erased_ms[lead] else "after an erase"
        if entry.log_time_ms - latest_ms.get(lead, entry.log_time_ms) > 31 * DAY_MS:
            yield "forgotten"
        if event["type"] == RETRACT:
            target_type, target = event.get("target_type"), event["target"]
            retracted.add((lead, target_type, target))
            types = {one[1] for one in seen if one[::2] == (lead, target) and target_type in (None, one[1])}
            yield from (f"{target_type and 'one'} {event_type} retracted" for event_type in types)
        if event["type"] == ERASE:
            erased_ms[lead] = occurred_ms
        latest_ms[lead] = max(occurred_ms, latest_ms.get(lead, occurred_ms))
        seen[identity] = event


def happenings_to_people(log: list[Entry]) -> Iterator[str]:
    into: dict[str, str] = {}
    ids_of_event: dict[tuple[str, str], set[str]] = {}
    for entry in log:
        event, lead = entry.event, entry.event["lead_id"]
        if lead in into:
            yield f"{event['type']} under an alias"
        came_under = ids_of_event.setdefault((event["type"], event["event_id"]), set())
        came_under.add(lead)
        if len(came_under) > 1:
            yield "under two ids"
        if event["type"] == MERGE:
            yield from of_merge(into, lead, event["into"])
            into.setdefault(lead, event["into"])


def of_merge(aliases: dict[str, str], lead: str, into: str) -> Iterator[str]:
    yield "of an alias" if lead in aliases else "of a lead"
    if into in aliases:
        yield "into an alias"
    if into == lead:
        yield "into itself"
    if aliases.get(lead) == into:
        yield "again"
    if aliases.get(into) == lead != into:
        yield "in a circle"
