"""Redis in a simulation: shards are lost, wholly or back to an earlier write, and calls of the store fail."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from leadscore.errors import Unavailable
from leadscore.store.fence import decode as decode_fence
from leadscore.store.shard import ShardWrite
from tests.memory_kafka.weather import Weather
from tests.unit.fake_store import FakeShard, FakeStore

KEPT_COPIES = 12


class MemoryRedis:
    """What is stored, and what was stored before each of the latest writes."""

    def __init__(self) -> None:
        self.shards: dict[int, FakeShard] = {}
        self._copies: dict[int, list[FakeShard]] = {}
        self.late: list[Callable[[], object]] = []
        """Writes that are still on their way, although whoever sent them waits no longer."""

    def take_late(self) -> None:
        """The writes that are late arrive, in their order."""
        late, self.late = self.late, []
        for write in late:
            write()

    def remember(self, number: int) -> None:
        """The shard is about to change."""
        copies = self._copies.setdefault(number, [])
        copies.append(copy_of(self.shards.get(number, FakeShard())))
        del copies[:-KEPT_COPIES]

    def copies(self, number: int) -> list[FakeShard]:
        """Earlier states, oldest first."""
        return self._copies.get(number, [])

    def put(self, number: int, shard: FakeShard) -> None:
        """Lose what is stored, or restore a copy."""
        self.shards[number] = copy_of(shard)

    def applied(self, number: int) -> int:
        """The last log offset that is folded into what is stored; -1 without a fence."""
        fence = self.fence(number)
        return -1 if fence is None else decode_fence(fence).offset

    def fence(self, number: int) -> bytes | None:
        return self.shards[number].fence if number in self.shards else None


class SimulatedStore(FakeStore):
    """One process's way to it. A call may fail before its work or after it."""

    def __init__(self, redis: MemoryRedis, weather: Weather) -> None:
        super().__init__()
        self._redis = redis
        self._weather = weather
        self.shards = redis.shards

    def write(self, writes: Sequence[ShardWrite]) -> dict[int, bytes | None]:
        if self._weather.happens("store.write arrives late"):
            self._redis.late.append(partial(self._write_all, list(writes)))
            raise Unavailable("redis", "timeout", "a simulated write that arrives late")
        return super().write(writes)

    def _write_all(self, writes: Sequence[ShardWrite]) -> None:
        for write in writes:
            self._write(write)

    def _write(self, write: ShardWrite) -> bytes | None:
        if self._shard(write.shard).fence == write.expected:
            self._redis.remember(write.shard)
        return super()._write(write)

    @contextmanager
    def _noted(self, method: str, argument: object) -> Iterator[None]:  # noqa: ARG002  # no journal: nobody reads it
        self._weather.before(f"store.{method}")
        yield
        self._weather.after(f"store.{method}")


def copy_of(shard: FakeShard) -> FakeShard:
    return FakeShard(
        shard.fence,
        dict(shard.leads),
        dict(shard.ttls_ms),
        dict(shard.outbox),
        dict(shard.due),
        dict(shard.erased),
    )
