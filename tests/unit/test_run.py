"""``leadscore run`` before it touches a server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from leadscore.cli.main import main

MODEL = Path(__file__).parents[2] / "deploy" / "model.yaml"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in {
        "KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "MODEL": str(MODEL),
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": "0",
    }.items():
        monkeypatch.setenv(f"LEADSCORE_{name}", value)
    return monkeypatch


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["run"]) == 2
    return capsys.readouterr().err


def test_without_any_setting_the_program_says_in_a_line_each_what_is_missing_and_ends_with_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "leadscore.cli.main", "run"],
        env={name: value for name, value in os.environ.items() if not name.startswith("LEADSCORE_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr.splitlines() == [
        "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS: not set: Addresses of the Kafka brokers.",
        "LEADSCORE_MODEL: not set: Path of the model file.",
    ]
    assert (done.returncode, done.stdout) == (2, "")


def test_a_missing_model_is_reported_with_the_other_problems(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("MODEL", "KAFKA__BOOTSTRAP_SERVERS"):
        environment.delenv(f"LEADSCORE_{name}")
    environment.setenv("LEADSCORE_BATCH_SIZE", "many")
    assert [line.partition(":")[0] for line in complaint(capsys).splitlines()] == [
        "LEADSCORE_BATCH_SIZE",
        "LEADSCORE_KAFKA__BOOTSTRAP_SERVERS",
        "LEADSCORE_MODEL",
    ]


def test_a_worker_that_only_scores_needs_no_model(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("MODEL", "KAFKA__BOOTSTRAP_SERVERS"):
        environment.delenv(f"LEADSCORE_{name}")
    environment.setenv("LEADSCORE_ROLE", "score")
    assert [line.partition(":")[0] for line in complaint(capsys).splitlines()] == ["LEADSCORE_KAFKA__BOOTSTRAP_SERVERS"]


def test_a_mapping_of_a_topic_that_is_not_read_is_refused(
    environment: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mappings = tmp_path / "mappings.yaml"
    mappings.write_text("shop.evnts: {preset: segment}\n")
    environment.setenv("LEADSCORE_SOURCE_TOPICS", "shop.events")
    environment.setenv("LEADSCORE_MAPPINGS", str(mappings))
    assert complaint(capsys) == (
        f"{mappings}:shop.evnts: expected one of the topics that are read: shop.events, leadscore.commands"
        " (LEADSCORE_SOURCE_TOPICS)\n"
    )


def test_a_mappings_file_that_is_no_yaml_is_reported_in_one_line(
    environment: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mappings = tmp_path / "mappings.yaml"
    mappings.write_text("a: [1\nb: 2\n")
    environment.setenv("LEADSCORE_MAPPINGS", str(mappings))
    assert complaint(capsys).count("\n") == 1


def test_a_model_file_that_is_wrong_is_reported_with_file_and_line(
    environment: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.yaml"
    model.write_text("model: m\nversion: 0\n")
    environment.setenv("LEADSCORE_MODEL", str(model))
    assert complaint(capsys).startswith(f"{model}:2: version: 0: expected a whole number")


COUNTED = """
rules: {r: {event: e, points: 1}}
conditions: {c: {points: 1, when: {not: {count: {rules: [r], at_least: 9, within: 2d}}}}}
"""


@pytest.mark.parametrize(
    ("part", "where"),
    [
        (
            "rules: {r: {event: e, points: 1, exclude_burst: {at_least: 9, within: 2s}}}",
            "rules.r.exclude_burst.at_least",
        ),
        (
            COUNTED,
            "conditions.c.when.not.count.at_least",
        ),
    ],
)
def test_a_model_that_looks_at_more_events_than_are_kept_is_refused(
    environment: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str, where: str
) -> None:
    model = tmp_path / "model.yaml"
    model.write_text(f"model: m\nversion: 1\n{part}\n")
    environment.setenv("LEADSCORE_MODEL", str(model))
    environment.setenv("LEADSCORE_RECENT_EVENTS", "8")
    assert complaint(capsys) == (
        f"LEADSCORE_RECENT_EVENTS: 8: expected at least 9, the number of events that {where} of {model} looks at\n"
    )


def test_a_bug_is_one_line_of_the_log_and_no_traceback_beside_it(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    environment.setattr("leadscore.cli.run.build_worker", broken)
    assert main(["run"]) == 1
    streams = capsys.readouterr()
    assert "Traceback" not in streams.err
    *_, crashed = map(json.loads, streams.out.splitlines())
    assert (crashed["event"], crashed["level"], crashed["error"]) == ("worker_crashed", "critical", "ZeroDivisionError")
    assert "in broken" in crashed["stack"]
