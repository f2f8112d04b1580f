"""What some settings choose between."""

from enum import StrEnum


class Role(StrEnum):
    """Which stages the process runs."""

    ALL = "all"
    MATCH = "match"
    SCORE = "score"


class OnStateLoss(StrEnum):
    """What to do when all state of a shard is gone (design 2.4)."""

    HALT = "halt"
    REBUILD = "rebuild"


class Delivery(StrEnum):
    """How outputs and log offsets are committed (design 2.7)."""

    AT_LEAST_ONCE = "at_least_once"
    TRANSACTIONAL = "transactional"


class CrossingFormat(StrEnum):
    """The encoding of published crossings."""

    AVRO = "avro"
    JSON = "json"
