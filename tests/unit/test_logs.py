"""Logs: what a line looks like, and how repeats are held back."""

import errno
import io
import json
import logging
import warnings
from collections import Counter
from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from leadscore.ops.logs import (
    LogFormat,
    LogLevel,
    RepeatLimit,
    configure_logging,
    kafka_client_logger,
    level_name,
)

log = logging.getLogger("leadscore.test")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def stream() -> io.StringIO:
    """Where JSON lines from ``info`` on go."""
    stream = io.StringIO()
    configure_logging(LogLevel.INFO, LogFormat.JSON, stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_its_fields_flat(stream: io.StringIO) -> None:
    record = log.makeRecord(log.name, logging.WARNING, "", 0, "partition_stopped", (), None)
    record.created = 1767607200.125
    vars(record).update(topic="leadscore.log", partition=3)
    log.handle(record)
    assert [*lines(stream)[0]] == ["timestamp", "level", "event", "logger", "topic", "partition"]
    assert lines(stream) == [
        {
            "timestamp": "2026-01-05T10:00:00.125Z",
            "level": "warning",
            "event": "partition_stopped",
            "logger": "leadscore.test",
            "topic": "leadscore.log",
            "partition": 3,
        }
    ]


class FullDisk(io.StringIO):
    """Takes nothing."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_that_cannot_be_written_is_told_in_one_line_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogLevel.INFO, LogFormat.JSON, FullDisk())
    for _ in range(3):
        log.info("started")
    assert capsys.readouterr().err == "leadscore: the log cannot be written: No space left on device\n"


def test_a_field_cannot_overwrite_what_every_line_has(stream: io.StringIO) -> None:
    log.info("started", extra={"level": "x", "event": "y", "timestamp": "z", "logger": "w"})
    assert [lines(stream)[0][name] for name in ("level", "event", "logger")] == ["info", "started", "leadscore.test"]
    assert lines(stream)[0]["timestamp"] != "z"


def test_a_field_that_json_does_not_know_is_written_as_text(stream: io.StringIO) -> None:
    log.info("started", extra={"key": b"\xff", "words": "a\nb \ud800"})
    assert lines(stream)[0]["key"] == "b'\\xff'"
    assert lines(stream)[0]["words"] == "a\nb \ud800"
    assert stream.getvalue().count("\n") == 1


def fail() -> None:
    message = "offset 7"
    raise LookupError(message)


def number_in(text: str) -> int:
    return int(text)


@pytest.mark.parametrize(
    "raises",
    [number_in, float, {}.__getitem__, {"a": 1}.__getitem__, [].index],
    ids=str,
)
def test_what_nobody_expected_shows_no_value_that_it_stumbled_over(
    raises: Callable[[str], object], stream: io.StringIO
) -> None:
    value = "jane\"o'neil@shop.example"
    try:
        raises(value)
    except Exception:
        log.exception("worker_crashed")
    assert "neil" not in stream.getvalue()
    assert "raises(value)" in str(lines(stream)[0]["stack"])


def test_a_value_in_the_error_before_is_not_shown_either(stream: io.StringIO) -> None:
    value = "jane@shop.example"
    try:
        try:
            number_in(value)
        except ValueError as error:
            raise RuntimeError("no number") from error
    except RuntimeError:
        log.exception("worker_crashed")
    [line] = lines(stream)
    assert "jane" not in stream.getvalue()
    assert line["error_message"] == "no number"
    assert "ValueError: invalid literal for int() with base 10: '***'" in str(line["stack"])


def test_an_error_that_speaks_of_the_code_keeps_its_words(stream: io.StringIO) -> None:
    try:
        _ = stream.nothing  # type: ignore[attr-defined]
    except AttributeError:
        log.exception("worker_crashed")
    assert lines(stream)[0]["error_message"] == "'_io.StringIO' object has no attribute 'nothing'"


def test_an_exception_is_type_message_and_stack_on_the_same_line(stream: io.StringIO) -> None:
    try:
        fail()
    except LookupError:
        log.exception("worker_failed")
    (line,) = lines(stream)
    assert (line["level"], line["error"], line["error_message"]) == ("error", "LookupError", "offset 7")
    assert "raise LookupError(message)\nLookupError: offset 7\n" in str(line["stack"])


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    log.debug("polled")
    log.info("started")
    assert [line["event"] for line in lines(stream)] == ["started"]


def test_a_line_of_a_library_has_its_words_in_detail(stream: io.StringIO) -> None:
    logging.getLogger("urllib3").warning("retrying %s", "x")
    (line,) = lines(stream)
    assert (line["event"], line["detail"], line["logger"]) == ("library_log", "retrying x", "urllib3")


def test_a_warning_of_python_becomes_a_line(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logging(LogLevel.INFO, LogFormat.JSON, stream)
        warnings.warn("old", stacklevel=1)
    assert [line["logger"] for line in lines(stream)] == ["py.warnings"]


def test_configuring_again_writes_each_line_once() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging(LogLevel.INFO, LogFormat.JSON, first)
    configure_logging(LogLevel.INFO, LogFormat.JSON, second)
    log.info("started")
    assert (len(lines(first)), len(lines(second))) == (0, 1)


def test_lines_for_people_show_fields_and_traceback() -> None:
    stream = io.StringIO()
    configure_logging(LogLevel.INFO, LogFormat.TEXT, stream)
    try:
        fail()
    except LookupError:
        log.exception("worker_failed", extra={"topic": "a", "detail": "two words", "offset": 7})
    first, *others = stream.getvalue().splitlines()
    assert first.partition(" ")[2] == (
        'ERROR    worker_failed topic=a detail="two words" offset=7 error=LookupError error_message="offset 7"'
    )
    assert others[0] == "Traceback (most recent call last):"
    assert others[-1] == "LookupError: offset 7"


def test_each_written_line_is_counted_by_level() -> None:
    counted = Counter[str]()

    def count(level: str) -> None:
        counted[level] += 1

    configure_logging(LogLevel.INFO, LogFormat.JSON, io.StringIO(), count)
    log.debug("polled")
    log.info("started")
    log.error("failed")
    log.error("failed")
    assert counted == {"info": 1, "error": 2}


@pytest.mark.parametrize(
    ("level", "name"), [(5, "debug"), (10, "debug"), (25, "info"), (30, "warning"), (40, "error"), (60, "critical")]
)
def test_every_level_has_a_name(level: int, name: str) -> None:
    assert level_name(level) == name


def test_a_key_comes_through_once_per_interval_and_says_what_was_held_back() -> None:
    clock = Clock()
    limit = RepeatLimit(10, clock)
    assert [limit.admit("a"), limit.admit("a"), limit.admit("b"), limit.admit("a")] == [0, None, 0, None]
    clock.now_s += 9.9
    assert limit.admit("a") is None
    clock.now_s += 0.1
    assert [limit.admit("a"), limit.admit("b")] == [3, 0]
    clock.now_s += 10
    assert limit.admit("a") == 0


def test_lines_of_the_kafka_client_become_fields_and_repeats_are_held_back(stream: io.StringIO) -> None:
    clock = Clock()
    logger = kafka_client_logger(RepeatLimit(10, clock))
    for _ in range(5):
        logger.log(logging.ERROR, "%s [%s] %s", "FAIL", "rdkafka#consumer-1", "Connection refused")
    logger.log(logging.ERROR, "%s [%s] %s", "FAIL", "rdkafka#producer-2", "Connection refused")
    clock.now_s += 10
    logger.log(logging.ERROR, "%s [%s] %s", "FAIL", "rdkafka#consumer-1", "Connection refused")
    assert [(line["event"], line["client"], line.get("suppressed")) for line in lines(stream)] == [
        ("kafka_client", "rdkafka#consumer-1", None),
        ("kafka_client", "rdkafka#consumer-1", 5),
    ]
    assert (lines(stream)[0]["facility"], lines(stream)[0]["detail"]) == ("FAIL", "Connection refused")


def test_what_a_library_repeats_is_held_back_by_the_place_that_it_comes_from(stream: io.StringIO) -> None:
    library = logging.getLogger("some.library")
    for number in range(100):
        library.warning("connection %s lost", number)
    library.warning("something else")
    for _ in range(3):
        log.warning("our_own")
    assert [line.get("detail") or line["event"] for line in lines(stream)] == [
        "connection 0 lost",
        "something else",
        *(["our_own"] * 3),
    ]


def test_a_library_line_says_how_many_were_held_back() -> None:
    stream, clock = io.StringIO(), Clock()
    configure_logging(LogLevel.INFO, LogFormat.JSON, stream, clock=clock)
    library = logging.getLogger("some.library")
    for _ in range(2):
        for _ in range(5):
            library.warning("lost")
        clock.now_s += 61
    assert [(line["event"], line.get("suppressed")) for line in lines(stream)] == [
        ("library_log", None),
        ("library_log", 4),
    ]


def test_lines_that_are_held_back_are_counted() -> None:
    held_back: list[None] = []
    limit = RepeatLimit(10, Clock(), lambda: held_back.append(None))
    assert [limit.admit("a") for _ in range(4)] == [0, None, None, None]
    assert len(held_back) == 3


def test_a_line_in_another_form_from_the_kafka_client_is_no_error(stream: io.StringIO) -> None:
    logger = kafka_client_logger(RepeatLimit(10, Clock()))
    logger.warning("100% of nothing")
    logger.warning("two %s", "words")
    assert [(line["event"], line["detail"]) for line in lines(stream)] == [("kafka_client", "100% of nothing")]


def test_warnings_about_what_the_worker_sets_itself_are_not_logged(stream: io.StringIO) -> None:
    logger = kafka_client_logger(RepeatLimit(10, Clock()))
    for name in ("enable.gapless.guarantee", "fetch.min.bytes"):
        words = f"[thrd:app]: Configuration property {name} is experimental"
        logger.warning("%s [%s] %s", "CONFWARN", f"client-{name}", words)
    assert [line["client"] for line in lines(stream)] == ["client-fetch.min.bytes"]


def test_a_real_kafka_client_logs_through_it(stream: io.StringIO) -> None:
    logger = kafka_client_logger(RepeatLimit(10, Clock()))
    # A consumer's property on a producer: the client warns about it at once, without any server.
    producer = Producer({"bootstrap.servers": "127.0.0.1:1", "fetch.min.bytes": 2, "logger": logger})
    producer.poll(0.2)
    warned = [line for line in lines(stream) if line["facility"] == "CONFWARN"]
    assert [line["event"] for line in warned] == ["kafka_client"]
    assert "fetch.min.bytes is a consumer property" in str(warned[0]["detail"])
