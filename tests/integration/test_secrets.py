"""What a process says holds no secret: its streams, log lines, tracebacks, HTTP port, and other commands."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
import redis

from tests.deployment import LASTING_MODEL, Deployment
from tests.servers import LOOPBACK, KafkaServer, RedisServer, redis_binaries, start_redis, wait_until

CANARY = "hunter2canary"


@pytest.fixture(scope="module")
def locked_redis() -> Iterator[RedisServer]:
    """Its password is another one."""
    with start_redis(next(iter(redis_binaries()))) as server:
        with closing(redis.Redis.from_url(server.url)) as client:
            client.config_set("requirepass", "another")
        yield server


@pytest.fixture
def deployment(
    kafka: KafkaServer, locked_redis: RedisServer, fresh_name: Callable[[str], str], tmp_path: Path
) -> Iterator[Deployment]:
    made = Deployment(kafka, locked_redis, (fresh_name("d"), "p"), tmp_path, LASTING_MODEL)
    made.environ |= {
        "LEADSCORE_REDIS_URL": locked_redis.url.replace("://", f"://worker:{CANARY}@"),
        "LEADSCORE_SCHEMA_REGISTRY_URL": f"http://u:{CANARY}@{LOOPBACK}:1",
        "LEADSCORE_KAFKA__SASL_PASSWORD": CANARY,
        "LEADSCORE_LEAD_ID_KEY": CANARY * 3,
        "LEADSCORE_START_TIMEOUT": "2s",
        "LEADSCORE_LOG_LEVEL": "debug",
    }
    made.create_topics(source_partitions=1)
    yield made
    made.stop()


def said_by(environ: Mapping[str, str], *words: str) -> str:
    """All that a command prints."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LEADSCORE_")}
    done = subprocess.run(
        [sys.executable, "-m", "leadscore.cli.main", *words],
        env=inherited | dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode not in {0, -9}
    return done.stdout


def test_a_worker_that_redis_refuses_shows_no_secret_anywhere(deployment: Deployment) -> None:
    worker = deployment.start_worker()
    worker.wait_for("listening")
    wait_until(lambda: "redis" in worker.get("/readyz")[1], 30, "/readyz to speak of Redis")
    pages = "".join(worker.get(path)[1] for path in ("/readyz", "/metrics", "/startupz", "/livez"))
    worker.wait_for_death()
    log = worker.log_path.read_text()
    assert "redis" in log
    assert json.loads(log.splitlines()[0])["config"]["redis_url"].startswith("redis://***@")
    assert CANARY not in log + pages


def test_commands_that_redis_or_the_registry_refuse_show_no_secret(deployment: Deployment) -> None:
    environ = deployment.config()
    del environ["LEADSCORE_START_TIMEOUT"]
    said = said_by(environ, "list", "--model", str(deployment.model_path))
    said += said_by(environ, "topics", "create")
    assert "LEADSCORE_REDIS_URL is 'redis://***@" in said
    assert "LEADSCORE_SCHEMA_REGISTRY_URL is 'http://***@" in said
    assert CANARY not in said


WRONG = {
    "two logins": {"LEADSCORE_REDIS_URL": f"redis://w:{CANARY}A@h1:6379/0,redis://w:{CANARY}B@h2:6379/0"},
    "a slash": {"LEADSCORE_REDIS_URL": f"redis://w:{CANARY}/x@h1:6379/0"},
    "an option": {"LEADSCORE_REDIS_URL": f"redis://h:1/0?{CANARY}=1"},
    "brokers": {"LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": f"w:{CANARY}@h:9092"},
    "misspelt": {"LEADSCORE_KAFKA__SASL_PASSWORT": CANARY},
    "no key": {"LEADSCORE_KAFKA__SSL_KEY_PEM": CANARY, "LEADSCORE_KAFKA__SECURITY_PROTOCOL": "ssl"},
    "no file": {"LEADSCORE_LEAD_ID_KEY_FILE": CANARY},
    "a model": {"LEADSCORE_MODEL": f"redis://w:{CANARY}@h:6379/0"},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_start_that_fails_shows_no_secret(wrong: str) -> None:
    environ = {"LEADSCORE_MODEL": "model.yaml", "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": f"{LOOPBACK}:1"}
    environ |= {"LEADSCORE_HTTP_PORT": "0", "LEADSCORE_HTTP_HOST": LOOPBACK}
    assert CANARY not in said_by(environ | WRONG[wrong], "run")


def test_a_crash_shows_no_secret(deployment: Deployment, locked_redis: RedisServer) -> None:
    """The option is one of the client's, but its value nothing that the client can use."""
    url = f"{locked_redis.url}?credential_provider={CANARY}"
    said = said_by(deployment.config(LEADSCORE_REDIS_URL=url), "run")
    assert "Traceback" in said
    assert CANARY not in said


def test_a_mapping_that_lacks_its_key_shows_no_secret(tmp_path: Path) -> None:
    mappings = tmp_path / "mappings.yaml"
    mappings.write_text("t:\n  type: email.click\n  event_id: id\n  lead_id: {keyed_hash: mail}\n  occurred_at: at\n")
    records = tmp_path / "records.jsonl"
    records.write_text('{"id": "1", "mail": "a@b.c", "at": "2026-01-05T10:00:00Z"}\n')
    words = ("check", "--mappings", str(mappings), "--events", str(records))
    for environ in ({"LEADSCORE_LEAD_ID_KEY": CANARY[:7]}, {"LEADSCORE_LEAD_ID_KEY_FILE": CANARY[:7]}):
        said = said_by(environ, *words)
        assert "LEADSCORE_LEAD_ID_KEY" in said
        assert CANARY[:7] not in said
