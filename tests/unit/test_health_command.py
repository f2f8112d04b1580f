"""``leadscore health``: what a container's health check runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from leadscore.cli.main import main
from leadscore.ops.health import START, Health, serve
from leadscore.ops.http_port import HttpPort
from leadscore.ops.metrics import Metrics


@pytest.fixture
def health() -> Health:
    """Of a worker that turns, has not begun, and waits for Redis."""
    return Health({START: "starting", "redis": "not asked yet"}, 60)


@pytest.fixture
def worker(health: Health, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpPort]:
    port = serve("127.0.0.1", 0, Metrics("0", ["website"]), health)
    monkeypatch.setenv("LEADSCORE_HTTP_PORT", str(port.port))
    yield port
    port.close()


@pytest.mark.usefixtures("worker")
def test_a_worker_that_turns_is_live_before_it_is_started_and_ready(
    health: Health, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [main(["health"]), main(["health", "started"]), main(["health", "ready"])] == [0, 1, 1]
    health.set_check(START, ok=True, detail="started")
    assert [main(["health", "live"]), main(["health", "started"]), main(["health", "ready"])] == [0, 0, 1]
    health.set_check("redis", ok=True, detail="answers")
    assert main(["health", "ready"]) == 0
    assert '"ready": true' in capsys.readouterr().out


@pytest.mark.usefixtures("worker")
def test_a_worker_that_cannot_go_on_is_not_live(health: Health, capsys: pytest.CaptureFixture[str]) -> None:
    health.fail("the log is gone")
    assert main(["health", "live"]) == 1
    assert "the log is gone" in capsys.readouterr().out


def test_a_worker_that_is_not_there_is_not_live(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LEADSCORE_HTTP_PORT", "1")
    assert main(["health"]) == 1
    assert "no answer from 127.0.0.1:1 (LEADSCORE_HTTP_PORT)" in capsys.readouterr().err


def test_the_port_may_stand_in_a_file(worker: HttpPort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEADSCORE_HTTP_PORT")
    (tmp_path / "port").write_text(f"{worker.port}\n")
    monkeypatch.setenv("LEADSCORE_HTTP_PORT_FILE", str(tmp_path / "port"))
    assert main(["health"]) == 0


@pytest.mark.parametrize(("host", "asked"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("127.0.0.2", "127.0.0.2")])
def test_it_asks_the_address_that_the_worker_listens_on(
    host: str, asked: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LEADSCORE_HTTP_HOST", host)
    monkeypatch.setenv("LEADSCORE_HTTP_PORT", "1")
    assert main(["health", "--timeout", "1s"]) == 1
    assert f"no answer from {asked}:1 " in capsys.readouterr().err


def test_any_free_port_cannot_be_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LEADSCORE_HTTP_PORT", "0")
    assert main(["health"]) == 2
    assert "LEADSCORE_HTTP_PORT: '0': expected the port of the running worker" in capsys.readouterr().err
