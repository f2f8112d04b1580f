"""Redis as a worker finds it: whether it answers, what it may lose, whose the prefix is, the rights, the clock."""

import time
from collections.abc import Mapping

from leadscore.cli.checkup.findings import Findings, not_checked, ok, problem, unless_wrong, warning
from leadscore.errors import Unavailable
from leadscore.ops.config import Config
from leadscore.ops.services import REDIS, addresses_of
from leadscore.pipeline.kafka.clocks import MOST_APART_S
from leadscore.pipeline.other_deployments import refuse_other_owner
from leadscore.store.redis_store import RedisStore

PERSISTENCE, PREFIX, RIGHTS, CLOCK = "redis persistence", "redis prefix", "rights in Redis", "clock"
_PREFIX_ADVICE = "Give this deployment a prefix of its own (LEADSCORE_REDIS_PREFIX), or start it under its old names."
FULL_SHARE = 0.8
OLDEST_ASKED = 7
"""The first version of Redis that tells a user's rights; Valkey began after it."""

_POLICY_ADVICE = (
    "Set maxmemory-policy noeviction and enough maxmemory (docs/capacity.md), or set LEADSCORE_ALLOW_EVICTION=true at "
    "your own risk."
)
_ADVICE = {
    "auth": "Correct LEADSCORE_REDIS_PASSWORD and the user in LEADSCORE_REDIS_URL, give the user the rights of "
    "docs/permissions.md, or renew the certificates (docs/security.md).",
    "loading": "Redis loads its data: wait until it has, and ask again.",
}
_ADVICE_OTHERWISE = (
    "Check LEADSCORE_REDIS_URL, that Redis listens there, and whether it expects TLS (rediss://) and a password."
)


def redis(config: Config, store: RedisStore, cluster_id: str) -> Findings:
    """All that is asked of Redis; a problem where it does not answer."""
    try:
        yield from unless_wrong(REDIS, _server(config, store), _POLICY_ADVICE)
        asked_s = time.time()
        infos = {f"{host}:{port}": info for (host, port), info in store.server_infos().items()}
        for address, info in infos.items():
            yield from _persistence(address, info)
            yield from _memory(address, info)
            yield from _clock(address, info, (asked_s, time.time()))
        yield from _rights(store)
        yield from unless_wrong(PREFIX, _prefix(config, store, cluster_id), _PREFIX_ADVICE)
    except Unavailable as outage:
        advice = _ADVICE.get(outage.kind, _ADVICE_OTHERWISE)
        yield problem(REDIS, f"{addresses_of(config)[REDIS]}: {outage}", advice)


def _prefix(config: Config, store: RedisStore, cluster_id: str) -> Findings:
    """Whether the prefix is this deployment's, or no one's yet."""
    claim = store.stored_owner()
    if claim is not None:
        refuse_other_owner(config, cluster_id, claim)
    owner = "belongs to no deployment yet" if claim is None else "belongs to this deployment"
    yield ok(PREFIX, f"{config.redis_prefix} {owner}")


def _server(config: Config, store: RedisStore) -> Findings:
    facts = store.check_server(allow_eviction=config.allow_eviction)
    yield ok(REDIS, f"{addresses_of(config)[REDIS]} answers: {facts.product} {facts.version}, masters: {facts.masters}")
    for words in facts.warnings:
        yield warning(REDIS, words, _POLICY_ADVICE)
    major = facts.version.partition(".")[0]
    if facts.product == "redis" and major.isdecimal() and int(major) < OLDEST_ASKED:
        yield warning(REDIS, f"redis {facts.version}: not tested", "Use Redis 7.0 or newer, or Valkey.")


def _persistence(address: str, info: Mapping[str, str]) -> Findings:
    if info.get("aof_enabled") != "1":
        yield warning(
            PERSISTENCE,
            f"{address}: the append-only file is off: a crash loses all since the last snapshot, if there is one",
            "Set appendonly yes, as deploy/redis/redis.conf does; the log then has to repair one second at most.",
        )
    else:
        yield ok(PERSISTENCE, f"{address}: the append-only file is on")
    for name in ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status"):
        if info.get(name, "ok") != "ok":
            yield problem(
                PERSISTENCE,
                f"{address}: {name} is {info[name]}: Redis cannot write to its disk, and may refuse writes (MISCONF)",
                "Look into Redis's own log: most often the disk is full or its folder may not be written.",
            )


def _memory(address: str, info: Mapping[str, str]) -> Findings:
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if limit and used > FULL_SHARE * limit:
        yield warning(
            REDIS,
            f"{address}: {used:,} bytes of maxmemory {limit:,} are used: when it is full the worker pauses",
            "Raise maxmemory; docs/capacity.md says how much a lead needs.",
        )


def _clock(address: str, info: Mapping[str, str], asked_between_s: tuple[float, float]) -> Findings:
    told_us = info.get("server_time_usec")
    if told_us is None:
        return
    told_s = int(told_us) / 1_000_000
    first_s, last_s = asked_between_s
    apart_s = max(first_s - told_s, told_s - last_s)
    if apart_s <= MOST_APART_S:
        yield ok(CLOCK, f"redis {address}: agrees")
        return
    side = "ahead of" if told_s < first_s else "behind"
    yield problem(
        CLOCK,
        f"the clock of this machine is {apart_s:.0f} s {side} that of redis {address}",
        "Find out which of the two is wrong and synchronise it (NTP): with a wrong clock of the worker leads leave too "
        "early or events count as future ones.",
    )


def _rights(store: RedisStore) -> Findings:
    missing = store.missing_rights()
    if missing is None:
        yield not_checked(RIGHTS, "Redis 6 cannot be asked", "Compare with docs/permissions.md.")
    elif missing:
        rights = " ".join(f"+{name}" for name in missing)
        yield problem(RIGHTS, f"missing: {rights}", f"ACL SETUSER NAME {rights} (docs/permissions.md)")
    else:
        yield ok(RIGHTS, "all of docs/permissions.md")
