"""Logs: the standard library's, one line per thing an operator may act on, as JSON or as text.

A line's ``event`` is a stable name to search for; what varies comes as fields through ``extra``. Our own loggers are
those below ``leadscore``; lines of libraries have the event ``library_log`` and their words in ``detail``.
"""

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO

from leadscore.ops.kafka_properties import OWNED
from leadscore.ops.redaction import redact_error

OWN_LOGGERS = "leadscore"
KAFKA_CLIENT_LOGGER = "leadscore.kafka_client"

LIBRARY_LINES_EVERY_S = 60.0
"""How often one place in a library, or one warning of Python, is heard: it may repeat itself with every record."""
_CONNECTION = frozenset({"FAIL", "ERROR"})
"""What librdkafka names its lines about connections: with a broker down, every client has the same to say."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LogLevel(StrEnum):
    """The least level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """One JSON object a line for machines, or text for people."""

    JSON = "json"
    TEXT = "text"


def configure_logging(
    level: LogLevel,
    log_format: LogFormat,
    stream: TextIO,
    count: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Send everything that is logged to the stream, and nowhere else.

    ``count`` is called with the level of every line that is written.
    """
    handler = _CountedHandler(stream, count)
    handler.addFilter(_LibraryLines(RepeatLimit(LIBRARY_LINES_EVERY_S, clock)))
    handler.setFormatter(JsonFormatter() if log_format is LogFormat.JSON else TextFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)


class _CountedHandler(logging.StreamHandler[TextIO]):
    def __init__(self, stream: TextIO, count: Callable[[str], None] | None) -> None:
        super().__init__(stream)
        self._count = count
        self._told_failure = False

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        if self._count is not None:
            self._count(level_name(record.levelno))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the library's name
        """A full disk or a reader that is gone ends no worker: stderr says so in one line, once."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._told_failure and sys.stderr is not None:
            self._told_failure = True
            with suppress(OSError):
                sys.stderr.write(f"leadscore: the log cannot be written: {error.strerror}\n")


def level_name(level: int) -> str:
    """The level as lines and metrics name it; levels between the standard ones count as the next lower one."""
    names = {logging.CRITICAL: "critical", logging.ERROR: "error", logging.WARNING: "warning", logging.INFO: "info"}
    return next((name for floor, name in names.items() if level >= floor), "debug")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: timestamp, level, event, logger, the fields; of an exception type, message, stack."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return json.dumps(_line(record), default=str)


class TextFormatter(logging.Formatter):
    """A line for people: ``timestamp LEVEL event field=value ...``, a traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the lines of the traceback."""
        line = _line(record)
        stack = line.pop("stack", None)
        head = f"{line.pop('timestamp')} {str(line.pop('level')).upper():<8} {line.pop('event')}"
        fields = "".join(f" {name}={_plain(shown)}" for name, shown in line.items() if name != "logger")
        return f"{head}{fields}" + (f"\n{str(stack).rstrip()}" if stack else "")


def _plain(shown: object) -> str:
    words = shown if isinstance(shown, str) else json.dumps(shown, default=str)
    return words if words.isprintable() and " " not in words else json.dumps(words)


def _line(record: logging.LogRecord) -> dict[str, object]:
    head = _head(record)
    fields = {name: shown for name, shown in vars(record).items() if name not in _STANDARD and name not in head}
    return head | fields | _exception(record)


def _head(record: logging.LogRecord) -> dict[str, object]:
    instant = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    head: dict[str, object] = {
        "timestamp": instant.replace("+00:00", "Z"),
        "level": level_name(record.levelno),
        "event": record.getMessage(),
        "logger": record.name,
    }
    if record.name.partition(".")[0] != OWN_LOGGERS:
        head["detail"] = head["event"]
        head["event"] = "library_log"
    return head


def _exception(record: logging.LogRecord) -> dict[str, object]:
    if not record.exc_info or record.exc_info[1] is None:
        return {}
    error = record.exc_info[1]
    return {"error": type(error).__name__, "error_message": redact_error(error), "stack": _stack(error)}


def _stack(error: BaseException) -> str:
    """The traceback of the error and of those that led to it, without the values that their messages quote."""
    stack = "".join(traceback.format_exception(error))
    cause: BaseException | None = error
    while cause is not None:
        stack = stack.replace(str(cause), redact_error(cause)) if str(cause) else stack
        cause = cause.__cause__ or cause.__context__
    return stack


class _LibraryLines(logging.Filter):
    """Holds back what libraries repeat; the places that they log at are few."""

    def __init__(self, limit: "RepeatLimit") -> None:
        super().__init__()
        self._limit = limit

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is let through."""
        if record.name.partition(".")[0] == OWN_LOGGERS:
            return True
        suppressed = self._limit.admit(f"{record.pathname}:{record.lineno}")
        if suppressed:
            vars(record).update(suppressed=suppressed)
        return suppressed is not None


class RepeatLimit:
    """Lets the same key through at most once per interval, and says how often it was held back in between.

    Keys must come from a small fixed set: each one ever seen is remembered. ``count`` is called for each line that is
    held back.
    """

    def __init__(
        self,
        interval_s: float,
        clock: Callable[[], float] = time.monotonic,
        count: Callable[[], None] = lambda: None,
    ) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._count = count
        self._let_through_at_s: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def admit(self, key: str) -> int | None:
        """How often the key was held back since it last came through; ``None``: hold it back now."""
        now_s = self._clock()
        last_s = self._let_through_at_s.get(key)
        if last_s is not None and now_s - last_s < self._interval_s:
            self._suppressed[key] = self._suppressed.get(key, 0) + 1
            self._count()
            return None
        self._let_through_at_s[key] = now_s
        return self._suppressed.pop(key, 0)


def kafka_client_logger(limit: RepeatLimit) -> logging.Logger:
    """The logger for a client's ``logger`` option: librdkafka's lines as events ``kafka_client``, repeats held back.

    With a broker down every client writes several lines a second; here one of them says it, once per interval. What a
    client says of something else is limited per client.
    """
    logger = logging.getLogger(KAFKA_CLIENT_LOGGER)
    for old in logger.filters[:]:
        logger.removeFilter(old)
    logger.addFilter(_KafkaClientLines(limit))
    return logger


class _KafkaClientLines(logging.Filter):
    def __init__(self, limit: RepeatLimit) -> None:
        super().__init__()
        self._limit = limit

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is let through; rewrites it into fields.

        Nothing may be raised in here: an exception in a callback makes the client lose the records of that poll.
        """
        facility, client, words = _kafka_client_line(record)
        if facility == "CONFWARN" and any(f"property {name} " in str(words) for name in OWNED):
            return False  # about what the worker sets itself: an operator cannot act on it
        suppressed = self._limit.admit(str(facility) if facility in _CONNECTION else f"{facility} {client}")
        record.msg, record.args = "kafka_client", ()
        vars(record).update(facility=facility, client=client, detail=words)
        if suppressed:
            vars(record).update(suppressed=suppressed)
        return suppressed is not None


def _kafka_client_line(record: logging.LogRecord) -> tuple[object, object, object]:
    """The client calls ``log(level, "%s [%s] %s", facility, client, words)``."""
    if isinstance(record.args, tuple) and len(record.args) == 3:
        return record.args[0], record.args[1], record.args[2]
    return "", "", record.getMessage()
