"""The store on Redis or Valkey, one server or a cluster: reads, and the fenced write (``write_shard.lua``).

A round trip per method, whatever the number of shards; a second one only where a node has lost the script.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import NamedTuple, cast

from redis.exceptions import NoScriptError

from leadscore.errors import ConfigError
from leadscore.store.endpoints import Address, Argument, Login, Reply
from leadscore.store.keys import ShardKeys, lead_pattern, owner_key, owner_tag, shard_tags, slot_of, tag_and_lead_of
from leadscore.store.routing import Call, Router
from leadscore.store.shard import Claim, DueLook, DuePage, LeadPage, ScanPlace, ServerFacts, ShardWrite, StoredShard

MGET_KEYS = 1_000
DUE_PAGE_LEADS = 1_000
SCAN_KEYS = 1_000

_NO_TTL = 0
_DELETE = -1


class _ScriptRuns(NamedTuple):
    calls: int
    time_s: float


class RedisStore:
    """A ``Store`` on Redis. ``Unavailable("redis", …)`` is all that Redis and the network can make it raise.

    ``urls``: one Redis, some nodes of one cluster, or the Sentinels of one service, which may want a login of their
    own; ``prefix`` keeps deployments in one Redis apart; ``shards`` is the number of log partitions; ``timeout_s``
    bounds connecting and each wait for the network. ``on_lost_script`` is called for each write that Redis has lost the
    script of, and that brings it along. Nothing is connected before the first call. Not for use from several threads at
    once.
    """

    def __init__(
        self,
        urls: Sequence[str],
        prefix: str,
        shards: int,
        timeout_s: float = 2.0,
        *,
        sentinel_login: Login | None = None,
        on_lost_script: Callable[[], None] | None = None,
    ) -> None:
        self._keys = [ShardKeys(prefix, shard, shards) for shard in range(shards)]
        self._shard_by_tag = {tag: shard for shard, tag in enumerate(shard_tags(prefix, shards))}
        self._lead_pattern = lead_pattern(prefix)
        self._owner_key, self._owner_slot = owner_key(prefix), slot_of(owner_tag(prefix))
        self._router = Router(urls, timeout_s, sentinel_login)
        self._script = files("leadscore.store").joinpath("write_shard.lua").read_text(encoding="utf-8")
        self._script_sha = sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._on_lost_script = on_lost_script or _nothing

    def read_shards(self, shards: Sequence[int]) -> dict[int, StoredShard]:
        """Fence, outbox and erasures of each shard."""
        # The fence first: an outbox that is newer than its fence is harmless, an older one would lose crossings.
        calls: list[Call] = []
        for keys in map(self._keys.__getitem__, shards):
            calls.append(Call(keys.slot, ("GET", keys.fence)))
            calls.append(Call(keys.slot, ("HGETALL", keys.outbox)))
            calls.append(Call(keys.slot, ("HGETALL", keys.erased)))
        replies = iter(self._router.call(calls))
        return {shard: _stored_shard(next(replies), next(replies), next(replies)) for shard in shards}

    def read_leads(self, expected: Mapping[int, Sequence[str]]) -> dict[int, list[bytes | None]]:
        """The stored states of the expected leads of each shard, in the order asked."""
        calls: list[Call] = []
        shard_of_call: list[int] = []
        for shard, lead_ids in expected.items():
            for call in _mget_calls(self._keys[shard], lead_ids):
                calls.append(call)
                shard_of_call.append(shard)
        states: dict[int, list[bytes | None]] = {shard: [] for shard in expected}
        for shard, reply in zip(shard_of_call, self._router.call(calls), strict=True):
            states[shard] += cast("list[bytes | None]", reply)
        return states

    def write(self, writes: Sequence[ShardWrite]) -> dict[int, bytes | None]:
        """Write each shard if its stored fence is the expected one; the answer is the fence stored after the call."""
        arguments = [_script_arguments(self._keys[write.shard], write) for write in writes]
        slots = [self._keys[write.shard].slot for write in writes]
        replies = self._router.call(
            [
                Call(slot, ["EVALSHA", self._script_sha, *of_shard])
                for slot, of_shard in zip(slots, arguments, strict=True)
            ]
        )
        without_script = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if without_script:
            self._on_lost_script()
        again = self._router.call(
            [Call(slots[index], ["EVAL", self._script, *arguments[index]]) for index in without_script]
        )
        for index, reply in zip(without_script, again, strict=True):
            replies[index] = reply
        return {write.shard: cast("bytes | None", reply) for write, reply in zip(writes, replies, strict=True)}

    def look_at_due(self, shards: Sequence[int], until_ms: int, limit: int) -> dict[int, DueLook]:
        """The stored fence and at most ``limit`` due leads of each shard, most overdue first."""
        calls: list[Call] = []
        for keys in map(self._keys.__getitem__, shards):
            calls.append(Call(keys.slot, ("GET", keys.fence)))
            calls.append(Call(keys.slot, ("ZRANGEBYSCORE", keys.due, "-inf", until_ms, "LIMIT", 0, limit)))
        replies = iter(self._router.call(calls))
        return {shard: DueLook(cast("bytes | None", next(replies)), _lead_ids(next(replies))) for shard in shards}

    def due_all(self, shard: int, cursor: int = 0) -> DuePage:
        """A page of all due leads of a shard."""
        keys = self._keys[shard]
        [reply] = self._router.call([Call(keys.slot, ("ZSCAN", keys.due, cursor, "COUNT", DUE_PAGE_LEADS))])
        next_cursor, members = cast("tuple[bytes, list[Reply]]", reply)
        return DuePage(_lead_ids(members[::2]), int(next_cursor) or None)

    def scan_leads(self, place: ScanPlace = ScanPlace()) -> LeadPage:  # noqa: B008  # a frozen value
        """A page of all leads of all shards."""
        command = ("SCAN", place.cursor, "MATCH", self._lead_pattern, "COUNT", SCAN_KEYS)
        reply, masters = self._router.call_master(place.master, command)
        next_cursor, keys = cast("tuple[bytes, list[bytes]]", reply)
        lead_ids: dict[int, list[str]] = {}
        for key in keys:
            tag, lead_id = tag_and_lead_of(key.decode())
            if tag in self._shard_by_tag:  # else of a deployment with another number of shards
                lead_ids.setdefault(self._shard_by_tag[tag], []).append(lead_id)
        if int(next_cursor):
            return LeadPage(lead_ids, SCAN_KEYS, ScanPlace(place.master, int(next_cursor)))
        is_last = place.master + 1 >= masters
        return LeadPage(lead_ids, SCAN_KEYS, None if is_last else ScanPlace(place.master + 1))

    def claim(self, owner: bytes) -> Claim:
        """Store whose the prefix is, unless that is stored already; what is stored after the call."""
        key, slot = self._owner_key, self._owner_slot
        _, stored = self._router.call([Call(slot, ("SET", key, owner, "NX")), Call(slot, ("GET", key))])
        return Claim(key, cast("bytes | None", stored) or owner)

    def check_server(self, *, allow_eviction: bool) -> ServerFacts:
        """Facts of the server; ``ConfigError`` where a master may evict keys and that is not allowed."""
        infos = self.server_infos()
        warnings: list[str] = []
        for master, info in infos.items():
            policy = info.get("maxmemory_policy")
            if policy is None:
                warnings.append(f"redis {master}: maxmemory-policy cannot be read: expected noeviction")
            elif policy != "noeviction":
                problem = (
                    f"redis {master}: maxmemory-policy: {policy}: expected noeviction, evicted leads vanish silently"
                )
                if not allow_eviction:
                    raise ConfigError(problem)
                warnings.append(problem)
        return _server_facts(list(infos.values()), warnings)

    def server_infos(self) -> dict[Address, dict[str, str]]:
        """What each master says of itself and of the commands it has run, by the names of Redis."""
        return {master: _parsed_info(reply) for master, reply in self._router.call_masters(("INFO", "ALL")).items()}

    def stored_owner(self) -> Claim | None:
        """Whose the prefix is; ``None`` where it is no one's yet. Nothing is written."""
        [owner] = self._router.call([Call(self._owner_slot, ("GET", self._owner_key))])
        return None if owner is None else Claim(self._owner_key, cast("bytes", owner))

    def missing_rights(self) -> list[str] | None:
        """The commands that this user may not run, of all that a worker runs; ``None`` where Redis cannot be asked.

        Nothing is written: the script asks for each command with a key of each shard, and runs none of them.
        """
        script = files("leadscore.store").joinpath("missing_rights.lua").read_text(encoding="utf-8")
        arguments = [(keys, [keys.fence, self._owner_key, keys.lead_prefix]) for keys in self._keys]
        replies = self._router.call([Call(keys.slot, ["EVAL", script, 1, *names]) for keys, names in arguments])
        if any(reply is None for reply in replies):
            return None
        return sorted({name.decode() for reply in replies for name in cast("list[bytes]", reply)})

    def close(self) -> None:
        """Close the connections; the next call opens them again."""
        self._router.close()


def _nothing() -> None:
    pass


def _stored_shard(fence: Reply, outbox: Reply, erased: Reply) -> StoredShard:
    return StoredShard(
        fence=cast("bytes | None", fence),
        outbox={int(offset): crossings for offset, crossings in _pairs(outbox)},
        erased=dict(_pairs(erased)),
    )


def _pairs(reply: Reply) -> Iterator[tuple[bytes, bytes]]:
    flat = iter(cast("list[bytes]", reply))
    return zip(flat, flat, strict=True)


def _lead_ids(reply: Reply) -> list[str]:
    return [member.decode() for member in cast("list[bytes]", reply)]


def _mget_calls(keys: ShardKeys, lead_ids: Sequence[str]) -> Iterator[Call]:
    lead_prefix = keys.lead_prefix
    for first in range(0, len(lead_ids), MGET_KEYS):
        yield Call(keys.slot, ["MGET", *[lead_prefix + lead_id for lead_id in lead_ids[first : first + MGET_KEYS]]])


def _script_arguments(keys: ShardKeys, write: ShardWrite) -> list[Argument]:
    """The number of KEYS, KEYS and ARGV as the head of ``write_shard.lua`` lists them."""
    lead_prefix = keys.lead_prefix
    lists = _changed_lists(write)
    arguments: list[Argument] = [4 + len(write.leads), keys.fence, keys.outbox, keys.due, keys.erased]
    arguments += [lead_prefix + lead_id for lead_id in write.leads]
    arguments += (write.expected or b"", write.fence)
    arguments += map(len, lists)
    for lead_id, lead in write.leads.items():
        if lead.state is None:
            arguments += (_DELETE, b"")
        elif lead.ttl_ms is None:
            arguments += (_NO_TTL, lead.state)
        elif lead.ttl_ms > 0:
            arguments += (lead.ttl_ms, lead.state)
        else:
            raise ValueError(f"time to live of lead {lead_id!r}: {lead.ttl_ms} ms: expected 1 or more")
    for values in lists:
        arguments += values
    return arguments


def _changed_lists(write: ShardWrite) -> tuple[Sequence[Argument], ...]:
    """The six lists of ``write_shard.lua``, flat, in its order."""
    return (
        [part for offset, crossings in write.outbox.items() for part in (offset, crossings)],
        write.outbox_drop,
        [part for lead_id, at_ms in write.due.items() if at_ms is not None for part in (at_ms, lead_id)],
        [lead_id for lead_id, at_ms in write.due.items() if at_ms is None],
        [part for lead, memory in write.erased.items() if memory is not None for part in (lead, memory)],
        [lead for lead, memory in write.erased.items() if memory is None],
    )


def _parsed_info(reply: Reply) -> dict[str, str]:
    lines = cast("bytes", reply).decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _script_runs(info: dict[str, str]) -> _ScriptRuns:
    """Out of ``cmdstat_evalsha:calls=3,usec=90,usec_per_call=30.00,...`` and the same of EVAL."""
    calls, us = 0, 0
    for name in ("cmdstat_evalsha", "cmdstat_eval"):
        facts = dict(fact.split("=", 1) for fact in info.get(name, "").split(",") if "=" in fact)
        calls += int(facts.get("calls", 0))
        us += int(facts.get("usec", 0))
    return _ScriptRuns(calls, us / 1e6)


def _server_facts(infos: list[dict[str, str]], warnings: list[str]) -> ServerFacts:
    """Product and version of the first master, and the policy that is least like ``noeviction``."""
    product = "valkey" if "valkey_version" in infos[0] else "redis"
    policies = [info.get("maxmemory_policy") for info in infos]
    scripts = [_script_runs(info) for info in infos]
    return ServerFacts(
        product=product,
        version=infos[0].get(f"{product}_version", "unknown"),
        masters=len(infos),
        eviction_policy=next((policy for policy in policies if policy != "noeviction"), "noeviction"),
        warnings=tuple(warnings),
        evicted_keys=sum(int(info.get("evicted_keys", 0)) for info in infos),
        script_calls=sum(runs.calls for runs in scripts),
        script_s=sum(runs.time_s for runs in scripts),
    )
