"""A store in memory, for unit tests of the worker. It keeps ``tests/store_contract.py``, as the real one does."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from leadscore.errors import ConfigError, Unavailable
from leadscore.store.shard import Claim, DueLook, DuePage, LeadPage, ScanPlace, ServerFacts, ShardWrite, StoredShard

DUE_PAGE_LEADS = 1_000
SCAN_PAGE_LEADS = 1_000

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(slots=True)
class FakeShard:
    """What is stored of one shard; tests may look into it and change it."""

    fence: bytes | None = None
    leads: dict[str, bytes] = field(default_factory=dict)
    ttls_ms: dict[str, int] = field(default_factory=dict)
    outbox: dict[int, bytes] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    erased: dict[bytes, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class _PlannedFailure:
    method: str
    error: Unavailable
    after: bool


class FakeStore:
    """A ``Store``; each call is noted in ``journal`` as ``"store.<method>"`` and its first argument.

    ``shards`` is what is stored; ``forget_everything`` and ``go_back_to`` are the ways in which Redis loses it.
    """

    def __init__(self, journal: list[tuple[str, object]] | None = None) -> None:
        self.journal: list[tuple[str, object]] = [] if journal is None else journal
        self.shards: dict[int, FakeShard] = {}
        self.owner: bytes | None = None
        self.eviction_policy = "noeviction"
        self.evicted_keys = 0
        self._failures: list[_PlannedFailure] = []

    def fail_next(self, method: str, kind: str, *, after: bool = False) -> None:
        """Let the next call of the method raise ``Unavailable``, before or ``after`` it has done its work."""
        self._failures.append(_PlannedFailure(method, Unavailable("redis", kind, "planned by the test"), after))

    def snapshot(self) -> dict[int, FakeShard]:
        """What is stored now, for ``go_back_to``."""
        return copy.deepcopy(self.shards)

    def go_back_to(self, snapshot: dict[int, FakeShard]) -> None:
        """Lose every write since the snapshot."""
        self.shards = copy.deepcopy(snapshot)

    def forget_everything(self) -> None:
        """Lose all, as by FLUSHALL."""
        self.shards.clear()

    def read_shards(self, shards: Sequence[int]) -> dict[int, StoredShard]:
        with self._noted("read_shards", list(shards)):
            stored = {shard: self._shard(shard) for shard in shards}
            return {shard: StoredShard(it.fence, dict(it.outbox), dict(it.erased)) for shard, it in stored.items()}

    def read_leads(self, expected: Mapping[int, Sequence[str]]) -> dict[int, list[bytes | None]]:
        with self._noted("read_leads", {shard: list(lead_ids) for shard, lead_ids in expected.items()}):
            return {
                shard: [self._shard(shard).leads.get(lead_id) for lead_id in ids] for shard, ids in expected.items()
            }

    def write(self, writes: Sequence[ShardWrite]) -> dict[int, bytes | None]:
        with self._noted("write", list(writes)):
            return {write.shard: self._write(write) for write in writes}

    def look_at_due(self, shards: Sequence[int], until_ms: int, limit: int) -> dict[int, DueLook]:
        with self._noted("look_at_due", list(shards)):
            return {shard: _look(self._shard(shard), until_ms, limit) for shard in shards}

    def due_all(self, shard: int, cursor: int = 0) -> DuePage:
        with self._noted("due_all", shard):
            lead_ids = list(self._shard(shard).due)
            end = cursor + DUE_PAGE_LEADS
            return DuePage(lead_ids[cursor:end], end if end < len(lead_ids) else None)

    def scan_leads(self, place: ScanPlace = ScanPlace()) -> LeadPage:  # noqa: B008  # a frozen value
        with self._noted("scan_leads", place):
            every = [(shard, lead_id) for shard, stored in self.shards.items() for lead_id in stored.leads]
            end = place.cursor + SCAN_PAGE_LEADS
            page: dict[int, list[str]] = {}
            for shard, lead_id in every[place.cursor : end]:
                page.setdefault(shard, []).append(lead_id)
            return LeadPage(page, SCAN_PAGE_LEADS, ScanPlace(cursor=end) if end < len(every) else None)

    def claim(self, owner: bytes) -> Claim:
        with self._noted("claim", owner):
            self.owner = self.owner or owner
            return Claim("owner", self.owner)

    def check_server(self, *, allow_eviction: bool) -> ServerFacts:
        with self._noted("check_server", allow_eviction):
            if self.eviction_policy != "noeviction" and not allow_eviction:
                raise ConfigError(f"redis fake: maxmemory-policy: {self.eviction_policy}: expected noeviction")
            return ServerFacts("fake", "1.0", 1, self.eviction_policy, warnings=(), evicted_keys=self.evicted_keys)

    def close(self) -> None:
        self.journal.append(("store.close", None))

    def _shard(self, shard: int) -> FakeShard:
        return self.shards.setdefault(shard, FakeShard())

    def _write(self, write: ShardWrite) -> bytes | None:
        stored = self._shard(write.shard)
        if stored.fence != write.expected:
            return stored.fence
        stored.fence = write.fence
        _put(stored.leads, {lead_id: lead.state for lead_id, lead in write.leads.items()})
        _put(
            stored.ttls_ms,
            {lead_id: lead.ttl_ms if lead.state is not None else None for lead_id, lead in write.leads.items()},
        )
        _put(stored.outbox, {**write.outbox, **dict.fromkeys(write.outbox_drop)})
        _put(stored.due, write.due)
        _put(stored.erased, write.erased)
        return write.fence

    @contextmanager
    def _noted(self, method: str, argument: object) -> Iterator[None]:
        """One call: noted when it begins, failed before or after its work if so planned."""
        self.journal.append((f"store.{method}", argument))
        self._fail_if_planned(method, after=False)
        yield
        self._fail_if_planned(method, after=True)

    def _fail_if_planned(self, method: str, *, after: bool) -> None:
        for planned in self._failures:
            if planned.method == method and planned.after is after:
                self._failures.remove(planned)
                raise planned.error


def _put(stored: dict[Key, Value], changes: Mapping[Key, Value | None]) -> None:
    for key, value in changes.items():
        if value is None:
            stored.pop(key, None)
        else:
            stored[key] = value


def _look(stored: FakeShard, until_ms: int, limit: int) -> DueLook:
    due = sorted((at_ms, lead_id.encode()) for lead_id, at_ms in stored.due.items() if at_ms <= until_ms)
    return DueLook(stored.fence, [lead_id.decode() for _, lead_id in due[:limit]])
