"""What some seeds end with, once everything has settled: experiments of their own in a deployment with a history."""

from collections.abc import Callable, Mapping
from random import Random

from tests.oracle import Plain
from tests.random_people import END_MS, FEW_RECENT, record_of_lead
from tests.simulation.lost_log_end import lose_log_end
from tests.simulation.plan import Ending
from tests.simulation.site import LOG
from tests.simulation.verdict import Violation, id_of, published_crossings
from tests.simulation.world import World

ROUNDS = 12


def end(world: World, random: Random) -> None:
    """As the plan of the seed says."""
    _ENDINGS[world.plan.ends_with](world, random)


def _nothing(_world: World, _random: Random) -> None:
    pass


def _erase(world: World, random: Random) -> None:
    """A person is erased under any id, and whatever comes once more brings nothing of it back."""
    person = random.choice(world.people.persons)
    erase = record_of_lead(random, random.choice(sorted(person)), "command.erase", "erase")
    world.say(f"{sorted(person)} are erased")
    world.live_through([erase | {"occurred_at": END_MS}], erased=person)
    if world.people.scoring is not FEW_RECENT and not world.plan.changes_model:  # else they would be new events
        again: list[Plain] = list(world.people.records)
        world.say("everything comes once more")
        world.live_through(again, erased=person)


def _lose(world: World, _random: Random) -> None:
    """Redis loses writes of which everything is published and committed: no crossing is published again."""
    world.fleet.calm()
    before = {id_of(record) for record in published_crossings(world.site)}
    number = len(published_crossings(world.site))
    committed = world.committed_log_offsets()
    world.losses.lose_writes()
    world.until_settled()
    later = [id_of(record) for record in published_crossings(world.site)]
    if len(later) > number and len(later) - number > len(set(later) - before):
        raise Violation("what was published and committed is published again after a loss")
    if any(offset < committed[name] for name, offset in world.committed_log_offsets().items()):
        raise Violation("the committed offset of the log has gone back")
    world.check()


def _recreate_log(world: World, _random: Random) -> None:
    """The log is deleted and made again: every shard that has states stops, and nothing of them changes."""
    world.fleet.calm()
    world.fleet.stop_all()
    world.fleet.bury()
    world.site.kafka.recreate(LOG)
    world.say("the log is recreated")
    numbers = [number for number in range(world.plan.shape.partitions) if world.site.redis.fence(number) is not None]
    fences = [world.site.redis.fence(number) for number in numbers]
    published = len(published_crossings(world.site))
    for _ in range(ROUNDS):
        world.round()
    if [world.site.redis.fence(number) for number in numbers] != fences:
        raise Violation("states of another log were gone on from")
    if len(published_crossings(world.site)) != published:
        raise Violation("crossings were published although the log is another one")
    scorers = [process.score for process in world.fleet.running if process.score is not None]
    stopped = {number for score in scorers for number in score.stopped}
    if stopped != set(numbers):
        raise Violation(f"shards {numbers} have states of another log, and {sorted(stopped)} are stopped")


_ENDINGS: Mapping[Ending, Callable[[World, Random], None]] = {
    Ending.NOTHING: _nothing,
    Ending.ERASURE: _erase,
    Ending.LOSS: _lose,
    Ending.NEW_LOG: _recreate_log,
    Ending.LOST_LOG_END: lose_log_end,
}
