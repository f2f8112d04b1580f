"""Health over HTTP: what is alive, what is ready, and what the port answers to whom."""

import http.client
import json
import logging
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from leadscore.build_kind import build_kind
from leadscore.errors import ConfigError
from leadscore.ops.health import START, Health, serve
from leadscore.ops.http_port import HttpPort
from leadscore.ops.metrics import Metrics
from tests.servers import wait_until

CHECKS = {"assignment": "waiting for partitions", "redis": "waiting for an answer"}
NOON_S = 1_767_268_800.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Iterator[Health]:
    health = Health(CHECKS, max_beat_age_s=30, clock=clock, unix_time=lambda: NOON_S + clock() - 100)
    yield health
    if health._telling is not None:  # its line belongs to this test
        health._telling.join(10)


@pytest.fixture
def server(health: Health) -> Iterator[HttpPort]:
    with closing(serve("127.0.0.1", 0, Metrics("1.2.3", ()), health)) as server:
        yield server


def ask(server: HttpPort, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


def all_in_order(health: Health) -> None:
    for name in CHECKS:
        health.set_check(name, ok=True, detail="fine")


def test_the_loop_is_alive_while_its_last_beat_is_young(health: Health, clock: Clock) -> None:
    clock.now_s += 30
    assert health.liveness().ok
    clock.now_s += 0.1
    assert health.liveness().body == {"live": False, "last_beat_age_s": 30.1, "fatal": None}
    health.beat()
    assert health.liveness().ok


def test_a_fatal_error_ends_liveness_although_the_loop_beats(health: Health) -> None:
    health.fail("a frame was lost")
    health.beat()
    assert health.liveness().body == {"live": False, "last_beat_age_s": 0, "fatal": "a frame was lost"}


def test_a_failed_check_leaves_the_worker_alive(health: Health) -> None:
    health.set_check("redis", ok=False, detail="timeout")
    assert health.liveness().ok


def test_nothing_is_ready_before_every_check_was_made(health: Health) -> None:
    health.set_check("redis", ok=True, detail="7.2")
    verdict = health.readiness()
    assert not verdict.ok
    assert verdict.body == {
        "ready": False,
        "live": True,
        "ending": False,
        "checks": {
            "assignment": {
                "ok": False,
                "detail": "waiting for partitions",
                "since": "2026-01-01T12:00:00.000Z",
                "since_s": 0,
                "age_s": 0,
            },
            "redis": {"ok": True, "detail": "7.2", "since": "2026-01-01T12:00:00.000Z", "since_s": 0, "age_s": 0},
        },
    }
    health.set_check("assignment", ok=True, detail="6 partitions")
    assert health.readiness().ok


def test_readiness_ends_with_a_failed_check_and_names_it(health: Health, clock: Clock) -> None:
    all_in_order(health)
    health.set_check("redis", ok=False, detail="timeout")
    clock.now_s += 2
    verdict = health.readiness()
    assert not verdict.ok
    assert json.loads(json.dumps(verdict.body))["checks"]["redis"] == {
        "ok": False,
        "detail": "timeout",
        "since": "2026-01-01T12:00:00.000Z",
        "since_s": 2,
        "age_s": 2,
    }


def test_a_check_says_since_when_it_is_not_in_order_however_often_it_is_looked_at(health: Health, clock: Clock) -> None:
    all_in_order(health)
    for detail in ("timeout", "refused", "refused"):
        clock.now_s += 10
        health.set_check("redis", ok=False, detail=detail)
    clock.now_s += 1
    checks = json.loads(json.dumps(health.readiness().body))["checks"]
    assert checks["redis"] == {
        "ok": False,
        "detail": "refused",
        "since": "2026-01-01T12:00:10.000Z",
        "since_s": 21,
        "age_s": 1,
    }


def test_the_worker_has_started_once_that_check_is_in_order(clock: Clock) -> None:
    health = Health({START: "waiting for redis at r:6379"}, 30, clock)
    verdict = health.start()
    assert (verdict.ok, verdict.body["started"], verdict.body["detail"]) == (
        False,
        False,
        "waiting for redis at r:6379",
    )
    health.set_check(START, ok=True, detail="started")
    assert health.start().ok
    clock.now_s += 31  # a loop that hangs has started all the same
    assert health.start().ok
    health.fail("a frame was lost")
    assert not health.start().ok


def test_the_first_partitions_belong_to_the_start_and_losing_them_does_not_undo_it(clock: Clock) -> None:
    expected = {START: "begins", "match_assigned": "joins group g", "match_running": "runs"}
    health = Health(expected, 30, clock, lambda: NOON_S)
    health.set_check(START, ok=True, detail="started")
    clock.now_s += 4
    verdict = health.start()
    assert (verdict.ok, verdict.body["detail"]) == (False, "joins group g")
    ages = {"since": "2026-01-01T12:00:00.000Z", "since_s": 4, "age_s": 4}
    assert verdict.body["checks"] == {
        START: {"ok": True, "detail": "started"} | ages,
        "match_assigned": {"ok": False, "detail": "joins group g"} | ages,
    }
    health.set_check("match_assigned", ok=True, detail="3 partitions")
    assert health.start().ok
    health.set_check("match_assigned", ok=False, detail="no partitions")
    health.set_check(START, ok=False, detail="waits")
    assert health.start().ok


def wait_for_lines(caplog: pytest.LogCaptureFixture, number: int) -> list[logging.LogRecord]:
    wait_until(lambda: len(caplog.records) >= number, 10, f"{number} lines")
    return list(caplog.records)


def test_where_the_loop_hangs_is_logged_once_and_that_it_turns_again(
    health: Health, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    clock.now_s += 31
    for _ in range(3):
        health.liveness()
        health.readiness()
    health.beat()
    hangs, turns_again = wait_for_lines(caplog, 2)
    if hangs.getMessage() != "loop_hangs":  # it is written by a thread of its own
        hangs, turns_again = turns_again, hangs
    assert (hangs.getMessage(), turns_again.getMessage()) == ("loop_hangs", "loop_turns_again")
    assert "test_where_the_loop_hangs_is_logged_once_and_that_it_turns_again" in vars(hangs)["stack"]
    assert vars(turns_again)["hung_s"] == 31
    clock.now_s += 31
    health.liveness()
    assert wait_for_lines(caplog, 3)[-1].getMessage() == "loop_hangs"  # another one


def test_the_stack_is_that_of_the_loop_whoever_asks(server: HttpPort, clock: Clock) -> None:
    lines: list[logging.LogRecord] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record)

    handler = Kept()
    logging.getLogger("leadscore.ops.health").addHandler(handler)
    try:
        clock.now_s += 31
        assert ask(server, "/livez")[0] == 503
        wait_until(lambda: bool(lines), 10, "the line")
    finally:
        logging.getLogger("leadscore.ops.health").removeHandler(handler)
    assert "test_the_stack_is_that_of_the_loop_whoever_asks" in vars(lines[0])["stack"]


def test_a_loop_that_hangs_is_not_ready(health: Health, clock: Clock) -> None:
    all_in_order(health)
    clock.now_s += 31
    assert not health.readiness().ok


def test_a_worker_that_was_told_to_end_is_live_and_started_and_not_ready() -> None:
    told: list[bool] = []
    health = Health(CHECKS, max_beat_age_s=30, is_ending=lambda: bool(told))
    all_in_order(health)
    assert health.readiness().ok
    told.append(True)
    readiness = health.readiness()
    assert (readiness.ok, readiness.body["ending"]) == (False, True)
    assert (health.liveness().ok, health.start().ok) == (True, True)


def test_livez_answers_by_status_and_body(server: HttpPort, clock: Clock) -> None:
    status, headers, body = ask(server, "/livez")
    assert (status, headers["Content-Type"], json.loads(body)["live"]) == (200, "application/json", True)
    clock.now_s += 31
    status, _, body = ask(server, "/livez")
    assert (status, json.loads(body)["live"]) == (503, False)


def test_readyz_answers_by_status_and_body(server: HttpPort, health: Health) -> None:
    status, _, body = ask(server, "/readyz")
    assert (status, [*json.loads(body)["checks"]]) == (503, [*CHECKS])
    all_in_order(health)
    status, _, body = ask(server, "/readyz?verbose=1")
    assert (status, json.loads(body)["ready"]) == (200, True)


def test_metrics_are_on_the_same_port(server: HttpPort) -> None:
    status, headers, body = ask(server, "/metrics")
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
    assert f'leadscore_build_info{{build="{build_kind()}",version="1.2.3"}} 1.0\n'.encode() in body


def test_startupz_answers_by_status_and_body(server: HttpPort, health: Health) -> None:
    assert ask(server, "/startupz")[0] == 200  # nothing to wait for
    health.set_check(START, ok=False, detail="waiting for kafka at k:9092")
    status, _, body = ask(server, "/startupz")
    assert (status, json.loads(body)["detail"]) == (503, "waiting for kafka at k:9092")


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz", "/startupz", "/nowhere"])
def test_head_gives_the_head_of_the_same_answer(server: HttpPort, path: str) -> None:
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as client:
        client.sendall(f"HEAD {path} HTTP/1.0\r\n\r\n".encode())
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    assert body == b""
    assert int(head.split()[1]) == ask(server, path)[0]
    assert b"Content-Length: " in head


@pytest.mark.parametrize("path", ["/", "/metricsx", "/livez/", "/../livez"])
def test_anything_else_is_not_found(server: HttpPort, path: str) -> None:
    assert ask(server, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"])
def test_only_get_and_head_are_allowed(server: HttpPort, method: str) -> None:
    status, headers, _ = ask(server, "/livez", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_requests_are_not_logged(
    server: HttpPort, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(0):
        ask(server, "/livez")
        ask(server, "/nowhere")
        socket.create_connection(("127.0.0.1", server.port)).close()
        ask(server, "/livez")
    assert (*capfd.readouterr(), caplog.records) == ("", "", [])


class Broken(Health):
    """Readiness that cannot be told."""

    def liveness(self) -> None:  # type: ignore[override]  # a bug is what is expected
        raise LookupError


def test_a_bug_in_an_answer_is_logged_and_the_server_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with closing(serve("127.0.0.1", 0, Metrics("1.2.3", ()), Broken({}, 1))) as server:
        assert ask(server, "/livez")[0] == 500
        assert ask(server, "/metrics")[0] == 200
    assert [record.message for record in caplog.records] == ["http_request_failed"]


def test_a_port_that_is_taken_is_a_configuration_error(server: HttpPort, health: Health) -> None:
    with pytest.raises(ConfigError, match=rf"LEADSCORE_HTTP_PORT: cannot listen on 127\.0\.0\.1:{server.port}: "):
        serve("127.0.0.1", server.port, Metrics("1.2.3", ()), health)


def test_a_host_that_is_no_host_is_a_configuration_error(health: Health) -> None:
    with pytest.raises(ConfigError, match="cannot listen on no host:0"):
        serve("no host", 0, Metrics("1.2.3", ()), health)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as listener:
            listener.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_the_server_listens_on_ipv6_where_the_address_is_one(health: Health) -> None:
    with (
        closing(serve("::1", 0, Metrics("1.2.3", ()), health)) as server,
        closing(http.client.HTTPConnection("::1", server.port, timeout=10)) as connection,
    ):
        connection.request("GET", "/livez")
        assert connection.getresponse().status == 200


def test_a_closed_server_frees_its_port(health: Health) -> None:
    server = serve("127.0.0.1", 0, Metrics("1.2.3", ()), health)
    server.close()
    with pytest.raises(ConnectionRefusedError):
        ask(server, "/livez")
    serve("127.0.0.1", server.port, Metrics("1.2.3", ()), health).close()
