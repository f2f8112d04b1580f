"""``simulate(seed)``: one seed from its beginning to its verdict. Given ``PYTHONHASHSEED=0`` it does the same again."""

from traceback import format_exception

from tests.simulation.endings import end
from tests.simulation.verdict import Violation
from tests.simulation.world import World


def simulate(seed: int, *, traced: bool = False) -> World:
    """Live through a seed; ``Violation`` where something is lost, doubled or wrong in the end."""
    world = World(seed, traced=traced)
    try:
        with world.clock.in_place_of_the_real_one(), world:
            world.live()
            end(world, world.random)
    except Violation as violation:
        violation.trace = world.trace
        raise
    except Exception as bug:
        crash = Violation(f"a worker crashed: {bug!r}")
        crash.trace = [*world.trace, *format_exception(bug)]
        raise crash from bug
    return world
