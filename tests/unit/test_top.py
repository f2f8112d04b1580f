"""``leadscore top`` without a deployment: rates, lag and quantiles out of answers, the lines, and what is wrong."""

import json
import re
from collections.abc import Mapping
from io import StringIO

import msgspec
import pytest
from rich.console import Console

from leadscore.cli.main import main
from leadscore.cli.watching.crossings import CrossingValues
from leadscore.cli.watching.reading import load_of, quantile_of
from leadscore.cli.watching.scrape import Scrape, address_of, scrape
from leadscore.cli.watching.screen import draw
from leadscore.cli.watching.view import Snapshot, lines_of
from leadscore.cli.worker_address import worker_url
from leadscore.errors import ConfigError
from leadscore.events.local_schemas import schema_texts
from leadscore.ops.config import load_config
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.score.publishing import RegisteredSchema, avro_encoding, json_encoding
from tests.unit.registry_stub import RegistryStub, registry_stub
from tests.unit.sample_crossing import CROSSING

READY = {"kafka": (True, "answers"), "score_running": (True, "running")}


def answer_as(stub: RegistryStub, metrics: Metrics, checks: Mapping[str, tuple[bool, str]]) -> None:
    """Let the stub be a worker with these metrics."""
    body = {"checks": {name: {"ok": is_ok, "detail": detail} for name, (is_ok, detail) in checks.items()}}
    is_ready = all(is_ok for is_ok, _ in checks.values())
    stub.answers["/metrics"] = (200, metrics.render()[0].decode())
    stub.answers["/readyz"] = (200 if is_ready else 503, json.dumps(body))


def scraped(metrics: Metrics, at_s: float, checks: Mapping[str, tuple[bool, str]] = READY) -> Scrape:
    with registry_stub() as stub:
        answer_as(stub, metrics, checks)
        return scrape(stub.url)._replace(url="worker", at_s=at_s)


def metrics_with(records: int, *, lag: int = 0, latency_s: float | None = None, stopped: int = 0) -> Metrics:
    metrics = Metrics("1.2.3", ["web"])
    metrics.match.records_consumed.labels("web").inc(records)
    metrics.score.awards.labels("applied").inc(records / 2)
    metrics.process.set_model("b2b", 3)
    metrics.kafka.lag.set("web", 0, lag, 1.5 if lag else 0.0)
    metrics.kafka.stopped_partitions.labels("score").set(stopped)
    for _ in range(records if latency_s is not None else 0):
        metrics.latency.record_to_crossing.observe(latency_s or 0)
    return metrics


def snapshot(before: Scrape, after: Scrape) -> Snapshot:
    return Snapshot(at="2026-01-05T10:00:00Z", load=load_of([before], [after]), crossings=[], hottest=None, notes=[])


def test_rates_are_of_the_interval_and_lag_is_of_now() -> None:
    load = load_of([scraped(metrics_with(100), 10.0)], [scraped(metrics_with(300, lag=7), 12.0)])
    assert load.per_s["records"] == pytest.approx(100.0)
    assert load.per_s["applied"] == pytest.approx(50.0)
    assert load.lag_records == {"web": 7}
    assert load.lag_s == 1.5
    [worker] = load.workers
    assert (worker.version, worker.model, worker.ready, worker.problem) == ("1.2.3", "b2b 3", True, "")


def test_a_worker_that_began_anew_counts_from_zero() -> None:
    load = load_of([scraped(metrics_with(100), 10.0)], [scraped(metrics_with(20), 12.0)])
    assert load.per_s["records"] == pytest.approx(10.0)


def test_latency_is_of_the_interval_else_since_the_start() -> None:
    metrics = metrics_with(100, latency_s=4.0)
    before = scraped(metrics, 10.0)
    quiet = load_of([before], [scraped(metrics, 12.0)]).latency
    assert quiet is not None
    assert (quiet.since, quiet.observations) == ("start", 100)
    assert 2.5 < quiet.quantiles["p50"] <= 5
    metrics.latency.record_to_crossing.observe(40.0)
    recent = load_of([before], [scraped(metrics, 12.0)]).latency
    assert recent is not None
    assert (recent.since, recent.observations) == ("last interval", 1)
    assert 30 < recent.quantiles["p50"] <= 60


@pytest.mark.parametrize(("latency_s", "shown"), [(0.2, r"p50 0\.\d{3} s"), (6 * 86_400.0, r"p50 \d d  p99 \d d")])
def test_the_latency_of_a_backfill_is_shown_in_whole_units(latency_s: float, shown: str) -> None:
    metrics = metrics_with(100, latency_s=latency_s)
    lines = list(lines_of(snapshot(scraped(metrics, 10.0), scraped(metrics, 12.0))))
    assert [line for line in lines if re.match(f"Latency     {shown}", line)] != []


def test_of_a_process_that_began_anew_every_observation_is_recent() -> None:
    load = load_of([scraped(metrics_with(100, latency_s=4.0), 10.0)], [scraped(metrics_with(3, latency_s=0.2), 12.0)])
    assert load.latency is not None
    assert (load.latency.since, load.latency.observations) == ("last interval", 3)


def test_a_quantile_is_linear_within_its_bucket() -> None:
    buckets = [(1.0, 10.0), (2.0, 20.0), (float("inf"), 20.0)]
    assert quantile_of(buckets, 0.5) == pytest.approx(1.0)
    assert quantile_of(buckets, 0.75) == pytest.approx(1.5)
    assert quantile_of([(1.0, 0.0), (float("inf"), 5.0)], 0.99) == 1.0


def test_stopped_partitions_and_why_a_worker_is_not_ready_are_shown() -> None:
    why = "redis at r:6379: all state of shard 3 is gone: leadscore log accept-gap --partition 3"
    after = scraped(metrics_with(1, stopped=2), 12.0, {**READY, "score_running": (False, why)})
    shown = "\n".join(lines_of(snapshot(scraped(metrics_with(1), 10.0), after)))
    assert "Stopped partitions" in shown
    assert f"2 of score at worker: {why}" in shown
    assert "Workers     0 of 1 ready" in shown


def test_a_worker_that_does_not_answer_is_told_and_the_others_are_counted() -> None:
    with registry_stub() as stub:
        url = stub.url
    silent = scrape(url)
    assert silent.problem
    load = load_of([silent, scraped(metrics_with(0), 1.0)], [silent, scraped(metrics_with(10), 2.0)])
    assert load.per_s["records"] == pytest.approx(10.0)
    assert [worker.answers for worker in load.workers] == [False, True]


@pytest.mark.parametrize("text", ["localhost:9464", "http://localhost:9464", "http://localhost:9464/metrics"])
def test_a_worker_is_named_by_host_and_port_or_by_its_address(text: str) -> None:
    assert address_of(text) == "http://localhost:9464"


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:9999"), ("::", "http://[::1]:9999"), ("10.0.0.7", "http://10.0.0.7:9999")],
)
def test_the_worker_that_is_looked_at_is_where_the_variables_say(host: str, url: str) -> None:
    config = load_config({"LEADSCORE_HTTP_HOST": host, "LEADSCORE_HTTP_PORT": "9999"})
    assert address_of(worker_url(config)) == url


@pytest.mark.parametrize("text", ["ftp://localhost", "localhost:port", "http://", "localhost:0"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected host:port"):
        address_of(text)


def test_the_program_prints_one_json_object_and_ends_with_1_where_no_worker_answers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LEADSCORE_KAFKA__BOOTSTRAP_SERVERS", raising=False)
    with registry_stub() as stub:
        answer_as(stub, metrics_with(5), READY)
        assert main(["top", stub.url, "--once", "--json", "--interval", "1"]) == 0
    assert main(["top", stub.url, "--once", "--json", "--interval", "1"]) == 1
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["load"]["workers"][0]["ready"]
    assert first["crossings"] is first["hottest"] is None
    assert "BOOTSTRAP_SERVERS is not set" in first["notes"][0]
    assert not second["load"]["workers"][0]["answers"]


def test_the_live_view_draws_and_gives_the_screen_back() -> None:
    screen = StringIO()
    console = Console(file=screen, force_terminal=True, width=100, height=20)
    seen = snapshot(scraped(metrics_with(1), 10.0), scraped(metrics_with(2, stopped=1), 12.0))
    assert draw(iter([seen]), console) is seen
    assert "Throughput" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[?25h\x1b[?1049l")  # the cursor, and the screen that was there before


def test_a_crossing_is_read_in_every_encoding_of_the_worker() -> None:
    with registry_stub() as registry:
        registry.put_schema(7, schema_texts()["crossing"])
        config = load_config({"LEADSCORE_SCHEMA_REGISTRY_URL": registry.url})
        values = CrossingValues(config)
        for encoding in (json_encoding(), avro_encoding(None), avro_encoding(RegisteredSchema(7, "urn:7"))):
            fields = values.decode(encoding.encode(CROSSING))
            assert fields["threshold"] == "mql"
            assert fields["score"] == CROSSING.score
        old = msgspec.structs.replace(CROSSING, sequence=None)
        previous = avro_encoding(None).old
        assert previous is not None
        assert values.decode(previous.encode(old))["threshold"] == "mql"
        asked = [path for _, path, _ in registry.requests]
        values.decode(avro_encoding(RegisteredSchema(7, "urn:7")).encode(CROSSING))
        assert [path for _, path, _ in registry.requests] == asked  # a schema is asked for once


def test_without_its_schema_a_crossing_has_what_its_headers_say() -> None:
    values = CrossingValues(load_config({}))
    assert values.decode(avro_encoding(RegisteredSchema(7, "urn:7")).encode(CROSSING)) == {}
    with registry_stub() as registry:
        asking = CrossingValues(load_config({"LEADSCORE_SCHEMA_REGISTRY_URL": registry.url}))
        assert asking.decode(avro_encoding(RegisteredSchema(7, "urn:7")).encode(CROSSING)) == {}
