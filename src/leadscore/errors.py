"""Every error leadscore raises on purpose, one leaf per action.

    LeadscoreError
    ├── InputError            exit 2 with the message: a file, an option or a variable is wrong
    │   ├── ConfigError         an environment variable or a command-line option
    │   ├── ModelError          a model file
    │   └── EventsFileError     a line of an events file
    ├── DeadLetter            dead letter: this record can never be decoded
    ├── Unavailable           pause, back off, reconcile: a service does not answer now
    ├── PartitionStopped      stop this partition and say why, go on with the others
    ├── WorkerStopped         stop the worker with the message, without a further commit
    └── StoppedEarly          exit 0: told to end before the work began

What Kafka, Redis or a registry answers becomes one of these, a permission that is withdrawn as well. Anything else is a
bug: the worker ends without a further commit, and says it in one line of the log, with the stack.
"""

from enum import StrEnum
from typing import TypeVar

Raised = TypeVar("Raised", bound=BaseException)


def without_traceback(error: Raised) -> Raised:
    """The error as something to keep for longer than the ``except`` that caught it; its causes lose theirs as well.

    A traceback keeps its frames, and they keep their callers and all locals, such as a batch of records. If one of
    these refers to the error, only the garbage collector can free them, and it runs seldom.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            waiting += (one.__cause__, one.__context__)
    return error


class LeadscoreError(Exception):
    """The root; never raised itself."""


class InputError(LeadscoreError):
    """What a person wrote is wrong; the message names the place, the value and what was expected."""


class ConfigError(InputError):
    """A configuration variable or a command-line option is wrong or unknown."""


class ModelError(InputError):
    """A model file is wrong: every problem found, one per line, as ``file:path: problem``."""


class EventsFileError(InputError):
    """A line of an events file is wrong: ``file:line: field: value: what was expected``."""


class DeadLetterReason(StrEnum):
    """Why a record can never be decoded; the label of the metric and the header of the dead letter."""

    TOO_LARGE = "too_large"
    EMPTY = "empty"
    UNKNOWN_FORMAT = "unknown_format"
    UNKNOWN_SCHEMA = "unknown_schema"
    MALFORMED = "malformed"
    TRAILING_BYTES = "trailing_bytes"
    MISSING_FIELD = "missing_field"
    INVALID_FIELD = "invalid_field"
    FUTURE = "future"
    TOO_EARLY = "too_early"
    INVALID_COMMAND = "invalid_command"


LONGEST_DETAIL = 1_000
"""Characters of why a record is a dead letter: it travels in headers, and names in a schema may be of any length."""


class KafkaErrorKind(StrEnum):
    """What went wrong with Kafka; the label of the metric."""

    AUTHENTICATION = "authentication"
    AUTHORIZATION = "authorization"
    UNKNOWN_TOPIC = "unknown_topic"
    TRANSPORT = "transport"
    TIMEOUT = "timeout"
    LEADER = "leader"
    COORDINATOR = "coordinator"
    REPLICAS = "replicas"
    OFFSET_GONE = "offset_gone"
    MAX_POLL = "max_poll"
    FENCED = "fenced"
    OTHER = "other"


class DeadLetter(LeadscoreError):
    """The record can never be decoded; it goes to the dead-letter topic untouched.

    ``detail`` names the field and what was expected, never a field's value: values may be personal.
    """

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        self.reason = reason
        self.detail = detail if len(detail) <= LONGEST_DETAIL else f"{detail[:LONGEST_DETAIL]}..."
        super().__init__(f"{reason.value}: {self.detail}")


class Unavailable(LeadscoreError):
    """A service does not answer now; the same call may succeed later. Never a dead letter.

    ``service`` is ``redis``, ``kafka`` or ``schema_registry``; ``kind`` is a short closed label for the metric.
    """

    def __init__(self, service: str, kind: str, detail: str) -> None:
        super().__init__(f"{service} is unavailable ({kind}): {detail}")
        self.service = service
        self.kind = kind
        self.detail = detail


class StopCause(StrEnum):
    """Why a partition cannot go on; partitions that stop for the same cause are told of together."""

    STATE_LOST = "state_lost"
    ANOTHER_LOG = "another_log"
    AHEAD_OF_LOG = "ahead_of_log"
    RECORDS_LOST = "records_lost"
    UNREADABLE = "unreadable"
    OTHER = "other"


class PartitionStopped(LeadscoreError):
    """A partition cannot go on without an operator's decision; the message says what to do."""

    def __init__(self, message: str, cause: StopCause = StopCause.OTHER) -> None:
        super().__init__(message)
        self.cause = cause


class WorkerStopped(LeadscoreError):
    """The worker cannot go on; the process ends without committing further."""


class StoppedEarly(LeadscoreError):
    """The worker was told to end while it was still starting: there is nothing to finish."""
