"""The processes of a simulated deployment and their supervisor: they start, turn, die, are held, and come back."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from leadscore.ops.choices import Role
from tests.simulation.outside import GOES_ON, End, HeldTurn, Outside, Planned
from tests.simulation.plan import ALWAYS, Plan
from tests.simulation.process import Process
from tests.simulation.site import Site

MOST_CALLS = 30
"""A turn makes about as many; a plan for a later call is not carried out."""
CALLS_THAT_MATTER = ("consumer.commit", "producer.poll", "producer.produce", "store.read_leads", "store.write")
DAY_S = 86_400.0
ROLES = (Role.MATCH, Role.SCORE)


class Held(NamedTuple):
    """A process in the middle of a turn, and the turn."""

    process: Process
    turn: HeldTurn


class Fleet:
    """Whatever happens to processes. ``say`` is for the trace, ``counts`` for the summary."""

    def __init__(self, random: Random, plan: Plan, site: Site, say: Callable[[str], None]) -> None:
        self._random = random
        self._plan = plan
        self._site = site
        self._say = say
        self._rates = {**ALWAYS, **plan.rates}
        self._started = 0
        self._dead: list[Process] = []
        self.version = 1
        self.running: list[Process] = []
        self.every: list[Process] = []
        self.held: list[Held] = []
        self.counts: Counter[str] = Counter()

    def calm(self) -> None:
        """From now on nothing goes wrong of which this is the cause."""
        for fault in self._plan.rates:
            self._rates.pop(fault, None)
        self._rates["everything at once"] = 1.0

    def resume_trouble(self) -> None:
        """What the plan says goes wrong again."""
        self._rates |= {**ALWAYS, **self._plan.rates}

    def start(self) -> None:
        """A new process, of the newest version of the model."""
        self._started += 1
        outside = Outside(self._random, self._rates, self._site.clock)
        skew_s = self._random.choice((-DAY_S, -3_600.0, 0.0, 3_600.0, DAY_S)) if self._plan.has_wrong_clocks else 0.0
        process = Process(f"worker-{self._started}", self._site, outside, self.version, skew_s, self._role())
        self.running.append(process)
        self.every.append(process)
        words = f"model version {self.version}, role {process.role.value}, its clock is {skew_s:+.0f} s ahead"
        self._say(f"{process.name} starts, {words}")

    @property
    def is_whole(self) -> bool:
        """Whether both stages have a process that runs."""
        return all(any(one.role in {role, Role.ALL} for one in self.running) for role in ROLES)

    def _role(self) -> Role:
        """Of the next process: the one that fewer have."""
        if not self._plan.shape.has_roles:
            return Role.ALL
        return min(ROLES, key=lambda role: sum(one.role is role for one in self.running))

    def lose_power(self) -> None:
        """All processes that run are gone at once, and nothing of them arrives any more."""
        for process in list(self.running):
            process.kill()
            self._settle(process)
        self.bury()

    def turn(self, end: End) -> None:
        """One turn of some process, at the end of which it may be gone."""
        self.turn_of(self._random.choice(self.running), end)

    def turn_of(self, process: Process, end: End = End.NONE) -> None:
        """One turn of this one."""
        if end is End.HOLD:
            self._held_turn(process)
        else:
            process.outside.plan(self._planned(end))
            process.turn()
        self._settle(process)

    def stop(self) -> None:
        """One process is told to end; it may be killed on the way."""
        is_killed = self._random.random() < self._plan.kills
        self._stop(self._random.choice(self.running), self._planned(End.KILL if is_killed else End.NONE))

    def replace_stopped(self) -> None:
        """An operator restarts workers with source partitions that wait for that: a dead letter was refused."""
        for process in list(self.running):
            if process.match is not None and process.match.stopped:
                self._stop(process, GOES_ON)

    def stop_all(self) -> None:
        while self.running:
            self._stop(self.running[0], GOES_ON)

    def _stop(self, process: Process, planned: Planned) -> None:
        process.outside.plan(planned)
        self._say(f"{process.name} is told to end")
        process.stop()
        self.counts["stops"] += not process.outside.is_dead
        self._settle(process)

    def let_go(self) -> None:
        """A held process goes on in the middle of its turn, and is an ordinary one afterwards."""
        process, turn = self.held.pop(self._random.randrange(len(self.held)))
        self._say(f"{process.name} goes on after {process.outside.last_call}")
        self.counts["zombies"] += 1
        process.outside.enter(process.skew_s)
        turn.let_go()
        self.running.append(process)
        self._settle(process)

    def expel_one_of_the_gone(self) -> None:
        """A group has not heard for too long of a process that is dead or held."""
        gone = [*self._dead, *(held.process for held in self.held)]
        if gone:
            self._expel_from_one_group(self._random.choice(gone))

    def cut_off(self) -> None:
        """A group has not heard for too long of a process that runs, and finds that out with its next poll."""
        self._expel_from_one_group(self._random.choice(self.running))

    def _expel_from_one_group(self, process: Process) -> None:
        self._expel(process, *self._random.choice(process.members))

    def bury(self) -> None:
        """The groups and Kafka's transactions are over with everything that is gone."""
        for process in [*self._dead, *(held.process for held in self.held)]:
            for group, member in process.members:
                self._expel(process, group, member)
        self._dead.clear()
        self.time_out_transactions()

    def time_out_transactions(self) -> None:
        for name in list(self._site.kafka.open_transactions):
            self._say(f"the transaction of {name} times out")
            self._site.kafka.time_out(name)

    def send_late(self) -> None:
        """What a dead process had handed to its client arrives now, or a part of it."""
        if self._dead:
            process = self._random.choice(self._dead)
            self._say(f"what {process.name} had sent arrives")
            process.send_late()

    def end(self) -> None:
        """No thread stays behind."""
        for process, turn in self.held:
            process.outside.is_dead = True
            turn.let_go()
        self.held.clear()
        for process in self.every:
            process.counted.give_back()

    def _planned(self, end: End) -> Planned:
        """At any call, or at one of those that matter most."""
        if end is End.NONE:
            return GOES_ON
        if self._random.random() < 0.5:
            return Planned(end, self._random.randrange(MOST_CALLS))
        return Planned(end, self._random.randrange(4), self._random.choice(CALLS_THAT_MATTER))

    def _held_turn(self, process: Process) -> None:
        turn = HeldTurn(process.turn)
        process.outside.plan(self._planned(End.HOLD), turn.hold)
        turn.begin()
        if not turn.is_over:
            self.running.remove(process)
            self.held.append(Held(process, turn))
            self._site.clock.skew_s = 0.0
            self._say(f"{process.name} is held at {process.outside.last_call}")

    def _expel(self, process: Process, group: str, member: str) -> None:
        if member in self._site.kafka.group(group).members:
            self._say(f"{process.name} is no longer a member of {group}")
            self._site.kafka.group(group).leave(member)

    def _settle(self, process: Process) -> None:
        """What has become of a process after a turn."""
        outside = process.outside
        if outside.faults:
            self.counts["faults"] += len(outside.faults)
            self._say(f"{process.name}: {', '.join(outside.faults)}")
        if process.is_over and process in self.running:
            self.running.remove(process)
            self._say(f"{process.name} is over, at {outside.last_call}")
            if outside.is_dead:
                self.counts["kills"] += 1
                self._dead.append(process)
