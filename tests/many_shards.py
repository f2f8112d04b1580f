"""People with several ids over several log partitions, in memory: the real shards; a store and owners that fail.

A seed decides everything: the people, their records, in which order and in which batches they come, and what goes wrong
in between. An owner dies after any step, or stalls and goes on as a zombie; the store loses its last writes, or all of
them; the match stage logs again what it has logged. In the end everything is folded, and every person must be one lead
with the score of all its events. ``check`` raises ``Violation`` where that is not so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

import msgspec

from leadscore.log.records import Award, Forward, Frame, Source, decode, encode, partition_of
from leadscore.pipeline.score.forwarding import forwards_records
from leadscore.pipeline.score.outbox import decode_outputs
from leadscore.pipeline.score.shard import Shard
from leadscore.scoring.erasures import lead_hash
from leadscore.scoring.simulation import score_line
from leadscore.scoring.state import decode_state
from leadscore.store.fence import Fence
from leadscore.store.fence import decode as decode_fence
from leadscore.store.shard import ShardWrite
from tests.oracle import Plain
from tests.random_people import END_MS, FEW_RECENT, expected_score, people, record_of_lead
from tests.simulated import event_of

LOG_TOPIC = "log"


class Violation(AssertionError):
    """A person fell apart, lost an event or counted one twice, or something goes round for ever."""


class Planned(NamedTuple):
    """What goes wrong, and how often: the share of the steps. ``commits_first`` is an error of the worker itself."""

    crashes: float = 0.15
    losses: float = 0.03
    commits_first: bool = False


# --- log, store and owners ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Stored:
    """What the store has of a shard."""

    fence: bytes | None = None
    leads: dict[str, bytes] = field(default_factory=dict)
    outbox: dict[int, bytes] = field(default_factory=dict)
    erased: dict[bytes, bytes] = field(default_factory=dict)

    def write(self, write: ShardWrite) -> bool:
        """Whether the stored fence was the expected one, and everything is written."""
        if self.fence != write.expected:
            return False
        self.fence = write.fence
        for lead_id, lead in write.leads.items():
            self.leads.pop(lead_id, None)
            if lead.state is not None:
                self.leads[lead_id] = lead.state
        self.outbox = {offset: data for offset, data in self.outbox.items() if offset not in write.outbox_drop}
        self.outbox |= write.outbox
        for hashed, data in write.erased.items():
            self.erased.pop(hashed, None)
            if data is not None:
                self.erased[hashed] = data
        return True

    def copy(self) -> "Stored":
        """As it is now, to go back to."""
        return Stored(self.fence, dict(self.leads), dict(self.outbox), dict(self.erased))


class Caused(NamedTuple):
    """A forward, and the log offset that caused it."""

    offset: int
    forward: Forward


class Folded(NamedTuple):
    """A batch between fold and commit."""

    write: ShardWrite
    caused: list[Caused]
    end: int


@dataclass(slots=True)
class Owner:
    """Who folds a log partition; it publishes nothing that was caused below ``publish_from``."""

    shard: Shard
    publish_from: int


class ManyShards:
    """A deployment whose every choice the seed makes."""

    def __init__(self, seed: int, planned: Planned = Planned()) -> None:  # noqa: B008  # a value
        self._random = Random(seed)
        self._planned = planned
        self.people = people(self._random)
        self.partitions = self._random.choice((1, 2, 3, 3))
        numbers = range(self.partitions)
        self.logs: list[list[bytes]] = [[] for _ in numbers]
        self.stored = [Stored() for _ in numbers]
        self._older = [[Stored()] for _ in numbers]
        self._committed = [0 for _ in numbers]
        self._owners: list[Owner | None] = [None for _ in numbers]
        self._zombies: list[tuple[int, Owner, Folded]] = []
        self._late: list[tuple[int, bytes]] = []
        self._writers = 0
        self._input: list[Plain] = []
        self._topic_id = ""
        self._matched = self._match_committed = 0

    def feed(self, records: Sequence[Plain], topic_id: str) -> None:
        """Let these records come, in a topic of that id."""
        self._input, self._topic_id, self._matched, self._match_committed = list(records), topic_id, 0, 0
        while self._match_committed < len(self._input):
            self._step()
            if self._random.random() < 0.25:
                self._match()

    def plan(self, planned: Planned) -> None:
        """What goes wrong from now on."""
        self._planned = planned

    def settle(self) -> None:
        """Let everything be folded; nothing goes wrong any more but what zombies still do."""
        most = sum(map(len, self.logs)) + 200 * len(self.people.records)
        self._planned = Planned(0, 0, self._planned.commits_first)
        while self._zombies or self._late or any(self._is_behind(number) for number in range(self.partitions)):
            self._step()
            if sum(map(len, self.logs)) > most:
                raise Violation("forwards go round for ever")

    # --- match ---

    def _match(self) -> None:
        """Log the next records; the match stage may die before it commits, and log them again in other batches."""
        batch = self._input[self._matched : self._matched + self._random.randrange(1, 5)]
        by_partition: dict[int, list[Award]] = {}
        for index, record in enumerate(batch, start=self._matched):
            award = self.people.scoring.matcher.award(event_of(record), 0, index)
            if award is not None:
                by_partition.setdefault(partition_of(award.lead_id, self.partitions), []).append(award)
        for number, awards in by_partition.items():
            self.logs[number].append(encode(Frame(1, [Source("input", self._topic_id, 0)], awards)))
        self._matched += len(batch)
        if self._fails():
            self._matched = self._match_committed
        elif self._random.random() < 0.5 or self._matched == len(self._input):
            self._match_committed = self._matched

    # --- score ---

    def _step(self) -> None:
        number = self._random.randrange(self.partitions)
        if self._random.random() < self._planned.losses:
            self.stored[number] = self._random.choice(self._older[number]).copy()
        if self._late and self._random.random() < 0.3:
            late_number, value = self._late.pop(0)
            self.logs[late_number].append(value)
        if self._zombies and self._random.random() < 0.3:
            self._wake(*self._zombies.pop(self._random.randrange(len(self._zombies))))
        self._turn(number)

    def _turn(self, number: int) -> None:
        """Read, fold, write, publish, commit; the owner may be gone after each."""
        owner = self._owners[number] or self._begun(number)
        self._owners[number] = owner
        folded = self._fold(number, owner)
        if folded is None:
            if self.stored[number].fence != owner.shard.stored:  # a look at what is due notices it
                self._die(number)
            return
        if self._is_gone(number, owner, folded):
            return
        if not self.stored[number].write(folded.write):
            self._owners[number] = None
            return
        owner.shard.written(folded.write)
        self._older[number].append(self.stored[number].copy())
        if self._planned.commits_first:
            self._commit(number, owner, folded)
        if self._fails():
            self._die(number)
            return
        records = self._records(owner, folded.caused)
        if self._fails():
            self._publish_some(records, is_late=self._random.random() < 0.5)
            self._die(number)
            return
        self._publish(records)
        if self._fails():
            self._die(number)
            return
        self._commit(number, owner, folded)

    def _begun(self, number: int) -> Owner:
        """Reconcile, as design 2.4 says; what is all lost is rebuilt."""
        stored, committed = self.stored[number], self._committed[number]
        self._writers += 1
        fence = Fence("idl", -1, 0, 0, {}) if stored.fence is None else decode_fence(stored.fence)
        if stored.fence is None:
            stored = self.stored[number] = Stored()
        fence = msgspec.structs.replace(fence, writer=str(self._writers))
        compiled, settings = self.people.scoring.compiled, self.people.scoring.settings
        shard = Shard(number, stored.fence, fence, lambda _: compiled, settings)
        shard.remember(stored.erased, stored.outbox)
        owner = Owner(shard, committed)
        caused = [
            Caused(offset, output)
            for offset, data in sorted(stored.outbox.items())
            for output in decode_outputs(data)
            if isinstance(output, Forward)
        ]
        self._publish(self._records(owner, caused))
        return owner

    def _fold(self, number: int, owner: Owner) -> Folded | None:
        shard, log = owner.shard, self.logs[number]
        first = shard.offset + 1
        values = log[first : first + self._random.randrange(1, 6)]
        records = [decode(value) for value in values]
        if not records:
            return None
        unknown = shard.unknown_leads(records)
        shard.load(unknown, [self.stored[number].leads.get(lead_id) for lead_id in unknown])
        caused: list[Caused] = []
        for offset, record in enumerate(records, start=first):
            outputs = shard.fold(record, offset, END_MS)
            caused += [Caused(offset, output) for output in outputs if isinstance(output, Forward)]
        return Folded(shard.pending(self._committed[number]), caused, first + len(records))

    def _is_gone(self, number: int, owner: Owner, folded: Folded) -> bool:
        """Whether the owner has died, or stalls and is taken for dead, before it has written."""
        if not self._fails():
            return False
        if self._random.random() < 0.5:
            self._zombies.append((number, owner, folded))
        self._die(number)
        return True

    def _wake(self, number: int, owner: Owner, folded: Folded) -> None:
        """A zombie goes on: if its write is taken, it publishes; it commits nothing."""
        if self.stored[number].write(folded.write):
            self._older[number].append(self.stored[number].copy())
            self._publish_some(self._records(owner, folded.caused), is_late=True)

    def _records(self, owner: Owner, caused: Sequence[Caused]) -> list[tuple[int, bytes]]:
        forwards = [one.forward for one in caused if one.offset >= owner.publish_from]
        source = owner.shard.source(LOG_TOPIC)
        made = (one.record for one in forwards_records(forwards, source, 1, self.partitions))
        return [(record.partition or 0, record.value or b"") for record in made]

    def _publish(self, records: Sequence[tuple[int, bytes]]) -> None:
        for number, value in records:
            self.logs[number].append(value)

    def _publish_some(self, records: Sequence[tuple[int, bytes]], *, is_late: bool) -> None:
        """Of each partition's records the first ones are published, and the others later, or not by this owner."""
        cut = {number: self._random.randrange(len(records) + 1) for number in range(self.partitions)}
        for number in range(self.partitions):
            own = [record for record in records if record[0] == number]
            self._publish(own[: cut[number]])
            self._late += own[cut[number] :] if is_late else []

    def _commit(self, number: int, owner: Owner, folded: Folded) -> None:
        if folded.end > owner.publish_from:
            self._committed[number] = folded.end

    def _die(self, number: int) -> None:
        self._owners[number] = None

    def _fails(self) -> bool:
        return self._random.random() < self._planned.crashes

    def _is_behind(self, number: int) -> bool:
        stored = self.stored[number].fence
        offset = -1 if stored is None else decode_fence(stored).offset
        return self._owners[number] is None or offset + 1 < len(self.logs[number])

    # --- what must be so ---

    def check(self, erased: frozenset[str] = frozenset()) -> None:
        """Every person is one lead that has all its events once; of an erased one nothing is left."""
        leads = {lead_id: data for stored in self.stored for lead_id, data in stored.leads.items()}
        states = {lead_id: decode_state(data) for lead_id, data in leads.items()}
        for person in self.people.persons:
            own = {lead_id: state for lead_id, state in states.items() if lead_id in person}
            if person == erased:
                self._check_erased(person, set(own))
                continue
            score = expected_score(person, self.people.records, self.people.scoring.model)
            remaining = [lead_id for lead_id, state in own.items() if state.alias is None]
            if len(remaining) != (score is not None or len(person) > 1):
                raise Violation(f"{sorted(person)}: leads {remaining}")
            for lead_id in own:
                if self._end_of_way(lead_id, own) != remaining[0]:
                    raise Violation(f"{sorted(person)}: {lead_id} does not lead to {remaining[0]}")
            for lead_id in remaining:
                actual = score_line(lead_id, own[lead_id], self.people.scoring.context(), END_MS).score
                if score is not None and abs(actual - score) > 1e-9:
                    raise Violation(f"{sorted(person)}: {lead_id} has {actual}, expected {score}")

    def _end_of_way(self, lead_id: str, states: dict[str, Any]) -> str | None:
        seen: set[str] = set()
        while lead_id not in seen:
            seen.add(lead_id)
            if lead_id not in states:
                return None
            if states[lead_id].alias is None:
                return lead_id
            lead_id = states[lead_id].alias.into
        return None

    def _check_erased(self, person: frozenset[str], left: set[str]) -> None:
        remembered = {hashed for stored in self.stored for hashed in stored.erased}
        forgotten = {one for one in person if lead_hash(one) not in remembered}
        if left:
            raise Violation(f"{sorted(person)}: erased, but {sorted(left)} are left")
        if forgotten:
            raise Violation(f"{sorted(person)}: the erasure of {sorted(forgotten)} is not remembered")


def simulate_people(seed: int, planned: Planned = Planned()) -> ManyShards:  # noqa: B008  # a value
    """Let the seed's people come, and check that all of them are right in the end."""
    world = ManyShards(seed, planned)
    world.feed(world.people.records, "first")
    world.settle()
    world.check()
    return world


def erase_a_person(seed: int) -> None:
    """Erase one of the people under any id; what comes once more brings nothing of it back, nor changes the others."""
    world, random = simulate_people(seed), Random(seed)
    person = random.choice(world.people.persons)
    command = record_of_lead(random, random.choice(sorted(person)), "command.erase", "erase") | {"occurred_at": END_MS}
    world.plan(Planned())
    world.feed([command], "erasures")
    world.settle()
    world.check(erased=person)
    if world.people.scoring is FEW_RECENT:
        return  # it would take the events for new ones
    world.plan(Planned())
    world.feed(world.people.records, "once more")
    world.settle()
    world.check(erased=person)
