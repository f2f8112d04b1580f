"""Every person is one lead, with the score that ``tests/oracle.py`` computes of all its records, each counted once."""

from typing import NamedTuple

from leadscore.log.records import Frame
from leadscore.pipeline.match.dead_letter_headers import Position
from leadscore.scoring.erasures import lead_hash
from leadscore.scoring.flags import latest_ms
from leadscore.scoring.simulation import score_line
from leadscore.scoring.state import LeadState, decode_state
from leadscore.store.fence import decode as decode_fence
from tests.oracle import Entry, Plain, run_versions
from tests.random_people import People
from tests.simulation.inputs import Inputs, Place
from tests.simulation.plain_fold import Logged
from tests.simulation.site import Site
from tests.simulation.verdict import Violation

TOLERANCE = 1e-9


class Matched(NamedTuple):
    """A record, and the version of the model that matched it."""

    version: int
    record: Plain


def check_people(site: Site, people: People, inputs: Inputs, log: list[Logged], erased: frozenset[str]) -> None:
    """Of the erased person nothing is left but the memory of that."""
    versions = _versions(log)
    matched = [
        Matched(versions.get(place, 1), record)
        for place, record in inputs.by_place().items()
        if place in versions or place not in inputs.lost
    ]
    shard_of = {lead_id: number for number, shard in site.redis.shards.items() for lead_id in shard.leads}
    for person in people.persons:
        own = {one: decode_state(site.redis.shards[shard_of[one]].leads[one]) for one in person if one in shard_of}
        if person == erased:
            _check_erased(site, person, own)
            continue
        records = [one for one in matched if one.record["lead_id"] in person and one.record["type"] != "command.merge"]
        remaining = [lead_id for lead_id, state in own.items() if state.alias is None]
        if len(remaining) != bool(records or len(person) > 1):
            raise Violation(f"{sorted(person)}: leads {remaining}")
        for lead_id in own:
            if _end_of_way(lead_id, own) != remaining[0]:
                raise Violation(f"{sorted(person)}: {lead_id} does not lead to {remaining[0]}")
        if records:
            _check_score(site, remaining[0], own[remaining[0]], shard_of[remaining[0]], records)


def _check_score(site: Site, lead_id: str, state: LeadState, number: int, records: list[Matched]) -> None:
    # A worker whose clock is ahead may have let the lead leave at an instant that is still to come.
    at_ms = max(site.clock.now_ms(), latest_ms(state))
    fence = site.redis.fence(number)
    in_force = site.versions[1 if fence is None else max(1, decode_fence(fence).model_version)]
    steps = [
        (site.versions[version].model | {"thresholds": {}}, Entry(record | {"lead_id": "one"}, at_ms))
        for version, record in records
    ]
    expected = run_versions(steps, in_force.model | {"thresholds": {}}, at_ms).scores[0]["score"]
    actual = score_line(lead_id, state, in_force.context(at_ms), at_ms).score
    if abs(actual - expected) > TOLERANCE:
        raise Violation(f"{lead_id} has {actual}, expected {expected}")


def _versions(log: list[Logged]) -> dict[Place, int]:
    """The version that matched each record: that of its first frame. Whoever matches it again comes too late."""
    versions: dict[Place, int] = {}
    for one in log:
        if isinstance(one.record, Frame):
            for award in one.record.awards:
                source = one.record.sources[award.source]
                position = Position(source.topic, source.topic_id, source.partition, award.offset)
                versions.setdefault(Place(position, source.leader_epoch), one.record.model_version)
    return versions


def _end_of_way(lead_id: str, states: dict[str, LeadState]) -> str | None:
    """The lead that an id leads to; ``None`` where the way is lost or goes round."""
    for _ in states:
        state = states.get(lead_id)
        if state is None:
            return None
        if state.alias is None:
            return lead_id
        lead_id = state.alias.into
    return None


def _check_erased(site: Site, person: frozenset[str], left: dict[str, LeadState]) -> None:
    remembered = {hashed for shard in site.redis.shards.values() for hashed in shard.erased}
    forgotten = [one for one in person if lead_hash(one) not in remembered]
    if left:
        raise Violation(f"{sorted(person)}: erased, but {sorted(left)} are left")
    if forgotten:
        raise Violation(f"{sorted(person)}: the erasure of {sorted(forgotten)} is not remembered")
