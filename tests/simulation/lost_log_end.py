"""The log loses its end: a leader that was out of sync is elected, or a broker comes back without its last segment.

Records that were applied are gone, and others may stand at their offsets. Nobody can tell what is missing: the shard
stops, and nothing of it changes, until an operator accepts the gap. Then every event counts once, also those of which
only the states still know.
"""

from random import Random
from typing import NamedTuple

from leadscore.cli.accept_gap import decision_of
from leadscore.log.records import partition_of
from leadscore.ops.choices import Delivery
from leadscore.pipeline.kafka.questions import Committed
from leadscore.pipeline.score.reconcile import Facts
from leadscore.pipeline.score.replaced import replaced_records
from leadscore.store.fence import decode as decode_fence
from leadscore.store.fence import encode as encode_fence
from tests.memory_kafka.groups import OffsetNote
from tests.random_people import record_of_lead
from tests.simulation.outside import End
from tests.simulation.people_verdict import check_people
from tests.simulation.plain_fold import logged
from tests.simulation.redis import copy_of
from tests.simulation.site import LOG, Site
from tests.simulation.verdict import (
    Violation,
    bodies_by_id,
    check_conserved,
    check_dead_letters,
    id_of,
    published_crossings,
)
from tests.simulation.world import World
from tests.unit.fake_store import FakeShard

ROUNDS_IN_TROUBLE, MOST_ROUNDS, QUIET_ROUNDS = 12, 60, 3
KILLED_IN_A_ROUND = 0.2


class Stopped(NamedTuple):
    """What must not change while the shard waits for an operator."""

    leads: dict[str, bytes]
    applied: int
    crossings: int


def lose_log_end(world: World, random: Random) -> None:
    """Everything was applied and committed before, so that every event must count afterwards."""
    site = world.site
    shards = [number for number in range(world.plan.shape.partitions) if _has_applied_records(site, number)]
    if not shards:
        return
    number = random.choice(shards)
    log, published = logged(site), published_crossings(site)
    loses_writes = _lose(world, random, number)
    before = _what_must_stay(site, number)
    _live_without_the_end(world, random, number)
    if _what_must_stay(site, number) != before:
        raise Violation(f"shard {number} went on although its log has lost records that were applied")
    if _stopped(world) != {number}:
        raise Violation(f"the log of shard {number} has lost its end, and {sorted(_stopped(world))} are stopped")
    if loses_writes:
        return  # what only Redis still knew is lost: it is for the operator to say what to go back to
    world.fleet.stop_all()
    world.fleet.bury()
    _accept_gap(site, number)
    world.say(f"the gap of shard {number} is accepted")
    world.until_settled()
    check_people(site, world.people, world.inputs, [*log, *logged(site)], frozenset())
    check_dead_letters(site, world.inputs)
    check_conserved(world.fleet.running)
    _check_crossings(site, {id_of(record) for record in published})


def _has_applied_records(site: Site, number: int) -> bool:
    return site.kafka.log_of((LOG, number)).low <= site.redis.applied(number)


def _stopped(world: World) -> set[int]:
    return {one for process in world.fleet.running if process.score is not None for one in process.score.stopped}


def _lose(world: World, random: Random, number: int) -> bool:
    """The end of the log is lost, with or without all workers; whether writes to Redis are lost as well."""
    site = world.site
    if random.random() < 0.5:
        world.fleet.lose_power()
    first = random.randrange(site.kafka.log_of((LOG, number)).low, site.redis.applied(number) + 1)
    site.kafka.lose_end((LOG, number), first)
    world.counts["lost log ends"] += 1
    world.say(f"the log of shard {number} loses everything from {first} on")
    copies = site.redis.copies(number)
    if not copies or random.random() < 0.7:
        return False
    site.redis.put(number, random.choice(copies))
    world.say(f"redis loses shard {number}: it goes back to {site.redis.applied(number)}")
    return True


def _live_without_the_end(world: World, random: Random, number: int) -> None:
    """Workers start, die and go on, and in half of the seeds records come, until the log is as long as it was."""
    grows = random.random() < 0.5
    for _ in range(ROUNDS_IN_TROUBLE):
        if grows:
            _send_some(world, random, number)
        if world.fleet.running and random.random() < KILLED_IN_A_ROUND:
            world.fleet.turn(End.KILL)
        world.fleet.expel_one_of_the_gone()
        world.round()
    world.fleet.calm()
    world.fleet.send_late()
    world.fleet.bury()
    for _ in range(MOST_ROUNDS):
        if _stopped(world) == {number}:
            break
        world.round()
    for _ in range(QUIET_ROUNDS):
        world.round()


def _send_some(world: World, random: Random, number: int) -> None:
    """Events of the people, some of whom have their states in the shard."""
    scoring, partitions = world.people.scoring, world.plan.shape.partitions
    ids = sorted(one for person in world.people.persons for one in person)
    own = [one for one in ids if partition_of(one, partitions) == number]
    types = [rule["event"] for rule in scoring.model["rules"].values()]
    for _ in range(random.randrange(4)):
        lead_id = random.choice(own or ids) if random.random() < 0.5 else random.choice(ids)
        event_id = f"after-{len(world.inputs.came)}"
        world.inputs.send(record_of_lead(random, lead_id, random.choice(types), event_id))


def _what_must_stay(site: Site, number: int) -> Stopped:
    leads = site.redis.shards.get(number, FakeShard()).leads
    keys = [(record.key or b"").decode() for record in published_crossings(site)]
    of_shard = sum(partition_of(key, site.config.log_partitions) == number for key in keys)
    return Stopped(dict(leads), site.redis.applied(number), of_shard)


def _accept_gap(site: Site, number: int) -> None:
    """What ``leadscore log accept-gap`` decides, done to the Kafka and the Redis in memory."""
    partition, committed = (LOG, number), site.kafka.group(site.config.score_group).committed
    shard, place = copy_of(site.redis.shards[number]), committed[LOG, number]
    fence = decode_fence(shard.fence or b"")
    bounds = site.kafka.bounds(partition)
    places = {partition: Committed(place.offset, place.note, place.leader_epoch)}
    replaced = replaced_records({partition: fence}, places, {partition: bounds}, site.kafka.leader_epochs)
    topic_id = site.kafka.topics[LOG].topic_id
    decision = decision_of(Facts(number, fence, place.offset, *bounds, topic_id, replaced.get(partition)), 0)
    if decision.committed is not None:
        committed[partition] = OffsetNote(decision.committed, "")
    shard.fence = encode_fence(decision.fence)
    site.redis.put(number, shard)


def _check_crossings(site: Site, before: set[str]) -> None:
    """None that was there is gone; an id has one body, and in transactional mode one record."""
    published = published_crossings(site)
    bodies = bodies_by_id(published)
    if missing := before - bodies.keys():
        raise Violation(f"crossings are gone after a gap was accepted: {sorted(missing)}")
    if several := [crossing_id for crossing_id, of_one in bodies.items() if len(of_one) > 1]:
        raise Violation(f"after a gap was accepted one id has several crossings: {several}")
    if site.config.delivery is Delivery.TRANSACTIONAL and len(published) != len(bodies):
        raise Violation(f"{len(published) - len(bodies)} crossings are there more than once after a gap was accepted")
