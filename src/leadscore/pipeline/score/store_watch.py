"""Whether Redis still is what the worker found at its start: it answers, and evicts nothing.

An eviction policy can be changed at run time. From then on leads may vanish without a word, and a lead that vanished
counts from 0 again; so nothing is applied until the policy is back, as nothing is begun at the start.
"""

import logging

from leadscore.errors import ConfigError, Unavailable
from leadscore.ops.metrics import StateMetrics
from leadscore.ops.ongoing import OngoingLog
from leadscore.store.failures import FailureKind
from leadscore.store.shard import ServerFacts, Store

_log = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0


class StoreWatch:
    """Looks at the server every half minute, and at once after an outage."""

    def __init__(self, store: Store, metrics: StateMetrics, *, allow_eviction: bool) -> None:
        self._store = store
        self._metrics = metrics
        self._allow_eviction = allow_eviction
        self._evictions = OngoingLog(_log, "redis_evicts_keys", "redis_evicts_no_more")
        self._evicted_keys: int | None = None
        self._looked_at_s = 0.0

    def look(self, now_s: float, *, at_once: bool) -> None:
        """``Unavailable`` while Redis does not answer, or may evict keys and that is not allowed."""
        if not at_once and now_s - self._looked_at_s < LOOK_EVERY_S:
            return
        with self._metrics.calls.under_way("check"):
            facts = self._facts()
        self._looked_at_s = now_s
        self._metrics.calls.script_calls.set(facts.script_calls)
        self._metrics.calls.script_seconds.set(facts.script_s)
        self._tell_evictions(now_s, facts)

    def _facts(self) -> ServerFacts:
        try:
            return self._store.check_server(allow_eviction=self._allow_eviction)
        except ConfigError as error:
            raise Unavailable("redis", FailureKind.EVICTION, str(error)) from error

    def _tell_evictions(self, now_s: float, facts: ServerFacts) -> None:
        """Keys may have been evicted between two looks, whatever the policy is by now."""
        before, self._evicted_keys = self._evicted_keys, facts.evicted_keys
        self._metrics.store_evicted_keys.set(facts.evicted_keys)
        if before is not None and facts.evicted_keys > before:
            detail = (
                f"Redis evicted {facts.evicted_keys - before} keys since the last look; leads may be among them, and "
                "count from 0 again. The award log holds what they were: delete the fences and restart with "
                "LEADSCORE_ON_STATE_LOSS=rebuild to fold it anew"
            )
            self._evictions.note(now_s, "evicted_keys", logging.ERROR, evicted_keys=facts.evicted_keys, detail=detail)
        else:
            self._evictions.end(now_s, "evicted_keys")
