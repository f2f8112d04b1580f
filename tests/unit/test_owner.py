"""Whose states a Redis prefix holds."""

import pytest

from leadscore.errors import ConfigError
from leadscore.ops.config import load_config
from leadscore.pipeline.other_deployments import claim_prefix, refuse_other_scorers
from leadscore.store.keys import owner_key, shard_tags
from leadscore.store.owner import Owner, decode, differences, encode
from tests.unit.fake_store import FakeStore

OURS = Owner("leadscore", "leadscore.log", "cluster-1")
CONFIG = load_config({})


def test_an_owner_survives_its_bytes_and_people_can_read_them() -> None:
    assert decode(encode(OURS), "key") == OURS
    assert encode(OURS) == b'{"group":"leadscore","log_topic":"leadscore.log","cluster_id":"cluster-1"}'
    assert decode(b'{"group":"g","log_topic":"l","of a later version":1}', "key") == Owner("g", "l")


def test_bytes_that_are_no_owner_are_reported_with_their_key() -> None:
    with pytest.raises(ConfigError, match=r"Redis key \{leadscore:\}:owner: "):
        decode(b"nonsense", owner_key("leadscore"))


def test_the_key_lies_in_no_shard() -> None:
    assert owner_key("leadscore") == "{leadscore:}:owner"
    assert "leadscore:" not in shard_tags("leadscore", 2_048)


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        (OURS, []),
        (Owner("leadscore", "leadscore.log"), []),
        (Owner("b", "leadscore.log", "cluster-1"), ["group 'b' (LEADSCORE_GROUP is 'leadscore')"]),
        (
            Owner("leadscore", "b.log", "cluster-2"),
            [
                "log topic 'b.log' (LEADSCORE_LOG_TOPIC is 'leadscore.log')",
                "Kafka cluster 'cluster-2' (this one is 'cluster-1')",
            ],
        ),
    ],
)
def test_deployments_differ_by_group_log_and_cluster(theirs: Owner, words: list[str]) -> None:
    assert differences(OURS, theirs) == words


def test_a_prefix_belongs_to_whom_claims_it_first() -> None:
    store = FakeStore()
    for _ in range(2):
        claim_prefix(store, CONFIG, "cluster-1")
    with pytest.raises(
        ConfigError, match=r"LEADSCORE_REDIS_PREFIX: 'leadscore': .*group 'leadscore' \(LEADSCORE_GROUP"
    ):
        claim_prefix(store, load_config({"LEADSCORE_GROUP": "other"}), "cluster-1")


def test_another_group_that_scores_the_log_is_refused() -> None:
    refuse_other_scorers(CONFIG, lambda: ["leadscore-score"])
    with pytest.raises(ConfigError, match=r"LEADSCORE_LOG_TOPIC: leadscore\.log: .* group other-score"):
        refuse_other_scorers(CONFIG, lambda: ["leadscore-score", "other-score"])
