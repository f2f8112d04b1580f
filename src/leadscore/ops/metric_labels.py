"""The label values and bucket boundaries of the worker's metrics; docs/metrics.md is held against them by a test."""

from leadscore.errors import KafkaErrorKind
from leadscore.scoring.crossing import Cause, Direction

_DAYS_S = tuple(days * 86_400 for days in (1, 7, 30, 90, 365))
LATENCY_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 21_600, *_DAYS_S)
"""A boundary at every latency that may be promised, and on to a year: not even a backfill is all in +Inf."""
STEP_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
STORE_BUCKETS_S = (0.00025, *STEP_BUCKETS_S)

STAGES = ("match", "score")
STEPS = {
    "match": ("poll", "match", "log", "commit"),
    "score": ("poll", "read", "fold", "write", "publish", "commit"),
}
PUBLISHED_KINDS = ("frame", "tick", "crossing", "erasure", "forwards", "dead_letter", "score")
RECORD_OUTCOMES = ("matched", "ignored", "dead_lettered", "given_up")
AWARD_OUTCOMES = ("applied", "duplicate", "skipped_replay", "rejected", "forwarded")
FORWARD_KINDS = ("award", "command", "absorb", "erasure")
REBALANCES = ("assigned", "revoked", "lost")
RECONCILIATIONS = ("current", "behind", "empty", "rebuild", "stopped")
STORE_CALLS = ("read", "write", "due", "check")
STORE_ERRORS = (
    "timeout",
    "connection",
    "oom",
    "busy",
    "readonly",
    "loading",
    "clusterdown",
    "masterdown",
    "noreplicas",
    "misconf",
    "noscript",
    "moved",
    "ask",
    "tryagain",
    "no_master",
    "auth",
    "eviction",
    "other",
)
KAFKA_ERRORS = tuple(kind.value for kind in KafkaErrorKind)
LEVELS = ("debug", "info", "warning", "error", "critical")
CROSSINGS = tuple(
    (direction, cause)
    for direction, causes in (
        (Direction.ENTER, (Cause.EVENT, Cause.COMMAND, Cause.INSTANT, Cause.MERGED)),
        (
            Direction.LEAVE,
            (Cause.EVENT, Cause.COMMAND, Cause.TIME, Cause.DISQUALIFIED, Cause.RECYCLED, Cause.MERGED),
        ),
    )
    for cause in causes
)
"""Which causes a crossing of each direction may have."""
TRANSACTION_RESULTS = ("committed", "aborted", "unknown")
SCORE_BUCKETS = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
MOST_VERSIONS = 10
OTHER_VERSION = "other"


class VersionLabels:
    """The label values of model versions: the first ``MOST_VERSIONS`` that occur have their own.

    A worker that rebuilds its state from the whole log meets every version there ever was.
    """

    def __init__(self) -> None:
        self._names: dict[int, str] = {}

    def of(self, version: int) -> str:
        """The label value."""
        name = self._names.get(version)
        if name is None:
            if len(self._names) >= MOST_VERSIONS:
                return OTHER_VERSION
            name = self._names[version] = str(version)
        return name
