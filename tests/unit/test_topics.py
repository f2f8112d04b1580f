"""``leadscore topics create``: which topics, with which settings, and which contracts belong to them."""

from pathlib import Path

import pytest

from leadscore.cli.main import main
from leadscore.cli.registering import schema_by_topic
from leadscore.cli.topics import ExpectedTopic, Sizes, _of_existing, expected_topics
from leadscore.ops.config import Config, load_config
from leadscore.time_units import DAY_MS

NOWHERE = {"LEADSCORE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}


def config(**changes: str) -> Config:
    return load_config(NOWHERE | changes)


def sizes(replication: int) -> Sizes:
    return Sizes(
        replication=replication,
        source_partitions=6,
        crossing_partitions=5,
        log_retention_ms=30 * DAY_MS,
        source_retention_ms=90 * DAY_MS,
        output_retention_ms=31 * DAY_MS,
    )


def test_every_topic_of_the_configuration_is_expected_once() -> None:
    chosen = config(LEADSCORE_SOURCE_TOPICS="web,mail", LEADSCORE_LOG_PARTITIONS="7")
    assert [(topic.name, topic.partitions) for topic in expected_topics(chosen, sizes(1))] == [
        ("web", 6),
        ("mail", 6),
        ("leadscore.commands", 6),
        ("leadscore.log", 7),
        ("leadscore.models", 1),
        ("leadscore.crossings", 5),
        ("leadscore.dead-letters", 6),
    ]


def test_a_scores_topic_is_compacted_and_keeps_tombstones_for_as_long_as_crossings_are_kept() -> None:
    chosen = config(LEADSCORE_SCORES_TOPIC="leadscore.scores")
    [scores] = [topic for topic in expected_topics(chosen, sizes(1)) if topic.name == "leadscore.scores"]
    assert scores.partitions == 5
    assert dict(scores.settings) == {
        "cleanup.policy": "compact",
        "compression.type": "gzip",
        "max.compaction.lag.ms": str(DAY_MS),
        "delete.retention.ms": str(31 * DAY_MS),
    }
    assert dict(schema_by_topic(chosen))["leadscore.scores"] == "lead_score"
    assert "leadscore.scores" not in dict(schema_by_topic(config()))


def test_what_differs_of_an_existing_topic_is_reported() -> None:
    topic = ExpectedTopic("web", 12, {"retention.ms": "5"})
    assert _of_existing(topic, 12, {"retention.ms": "5"}) == "12 partitions"
    assert _of_existing(topic, 6, {"retention.ms": "7"}) == ("6 partitions, expected 12; retention.ms is 7, expected 5")


def test_each_topic_has_the_settings_that_the_design_needs() -> None:
    settings = {topic.name: dict(topic.settings) for topic in expected_topics(config(), sizes(1))}
    assert settings["leadscore.log"] == {
        "cleanup.policy": "delete",
        "retention.ms": str(30 * DAY_MS),
        "max.message.bytes": str(2 * 1024 * 1024),
        "message.timestamp.type": "LogAppendTime",
    }
    assert settings["leadscore.models"] == {"cleanup.policy": "compact"}
    assert settings["leadscore.dead-letters"]["max.message.bytes"] == str(20 * 1024 * 1024)
    assert settings["leadscore.crossings"]["retention.ms"] == str(31 * DAY_MS)
    assert settings["leadscore.website"]["retention.ms"] == str(90 * DAY_MS)


@pytest.mark.parametrize(("replication", "in_sync"), [(1, None), (2, None), (3, "2"), (5, "2")])
def test_from_three_replicas_on_two_must_have_a_record(replication: int, in_sync: str | None) -> None:
    topics = expected_topics(config(), sizes(replication))
    assert {topic.settings.get("min.insync.replicas") for topic in topics} == {in_sync}


def test_our_own_topics_have_contracts_and_foreign_ones_do_not(tmp_path: Path) -> None:
    mappings = tmp_path / "mappings.yaml"
    mappings.write_text("shop.website: {preset: segment}\n")
    chosen = config(
        LEADSCORE_SOURCE_TOPICS="a.website,shop.website,a.email,a.webinar,a.profiles,other",
        LEADSCORE_MAPPINGS=str(mappings),
    )
    assert dict(schema_by_topic(chosen)) == {
        "a.website": "website_event",
        "a.email": "email_event",
        "a.webinar": "webinar_event",
        "a.profiles": "lead_profile",
        "leadscore.commands": "lead_command",
        "leadscore.crossings": "crossing",
    }


def test_crossings_as_json_have_no_avro_contract() -> None:
    assert "leadscore.crossings" not in dict(schema_by_topic(config(LEADSCORE_CROSSING_FORMAT="json")))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--replication", "0"], "--replication: '0': expected a whole number of 1 or more"),
        (["--log-retention", "30"], "--log-retention: '30': expected a duration such as 90s"),
        (["--source-partitions", "six"], "--source-partitions: 'six': expected a whole number"),
    ],
)
def test_a_wrong_option_ends_with_2(options: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["topics", "create", *options])
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


def test_properties_that_librdkafka_refuses_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADSCORE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("LEADSCORE_KAFKA__NO_SUCH_PROPERTY", "1")
    assert main(["topics", "create"]) == 2
    assert 'No such configuration property: "no.such.property"' in capsys.readouterr().err
