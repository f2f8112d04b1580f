"""Refusing to start beside another deployment that uses the same Redis prefix or the same award log.

Two groups that score one log publish every crossing twice, and two logs under one prefix are folded into the same
leads. The prefix's owner is stored in Redis. Another group on the log is seen while its workers run: one that is idle
at this moment, or that this user may not describe, is not.
"""

import logging
from collections.abc import Callable
from typing import cast

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from leadscore.errors import ConfigError
from leadscore.ops.config import Config
from leadscore.pipeline.kafka.questions import REQUEST_TIMEOUT_S, unavailable
from leadscore.store.owner import Owner, decode, differences, encode
from leadscore.store.shard import Claim, Store

_log = logging.getLogger(__name__)

SCORE_SUFFIX = "-score"


def cluster_id(admin: AdminClient) -> str:
    """The id of the Kafka cluster; empty where the broker does not say."""
    try:
        return cast("str | None", admin.list_topics(timeout=REQUEST_TIMEOUT_S).cluster_id) or ""
    except KafkaException as error:
        raise unavailable(error, "asking for the cluster's id") from error


def claim_prefix(store: Store, config: Config, cluster: str) -> None:
    """Note that the prefix is this deployment's; ``ConfigError`` where it is another's."""
    refuse_other_owner(config, cluster, store.claim(encode(Owner(config.group, config.log_topic, cluster))))


def refuse_other_owner(config: Config, cluster: str, claim: Claim) -> None:
    """``ConfigError`` where the prefix is another deployment's."""
    ours = Owner(config.group, config.log_topic, cluster)
    words = differences(ours, decode(claim.owner, claim.key))
    if words:
        raise ConfigError(
            f"LEADSCORE_REDIS_PREFIX: {config.redis_prefix!r}: the states under it are those of another deployment, of "
            f"{' and '.join(words)}: two deployments need a group, a log and a prefix of their own. If this is the "
            f"same one, renamed or moved, delete the key {claim.key} while no worker runs"
        )


def refuse_other_scorers(config: Config, groups_on_log: Callable[[], list[str]]) -> None:
    """``ConfigError`` where another deployment scores the same log at present."""
    others = [group for group in groups_on_log() if group != config.score_group]
    if others:
        raise ConfigError(
            f"LEADSCORE_LOG_TOPIC: {config.log_topic}: it is scored by another deployment, group {others[0]}, and "
            "every crossing would be published twice: expected a log of its own, or "
            f"LEADSCORE_GROUP={others[0].removesuffix(SCORE_SUFFIX)}"
        )


def groups_on(admin: AdminClient, topic: str) -> list[str]:
    """Score groups with a member that has a partition of the topic. Those that may not be described are left out."""
    try:
        listed = admin.list_consumer_groups(request_timeout=REQUEST_TIMEOUT_S).result().valid
        names = [group.group_id for group in listed if group.group_id.endswith(SCORE_SUFFIX)]
        described = admin.describe_consumer_groups(names, request_timeout=REQUEST_TIMEOUT_S) if names else {}
    except KafkaException as error:
        _log.info("groups_not_listed", extra={"detail": error.args[0].str()})
        return []
    return sorted(name for name, answer in described.items() if _has_partition_of(answer.result, topic))


def _has_partition_of(answer: Callable[[], object], topic: str) -> bool:
    try:
        members = answer().members  # type: ignore[attr-defined]  # the client's types do not say
    except KafkaException:
        return False
    return any(place.topic == topic for member in members for place in member.assignment.topic_partitions)
