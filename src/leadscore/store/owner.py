"""Whose states a prefix of Redis holds: one deployment's, named by its group, its log and its Kafka.

Two deployments under one prefix would fold their logs into the same leads. Who starts first leaves its name in a key
that stays; whoever comes later compares. JSON, so that people can read it.
"""

import msgspec

from leadscore.errors import ConfigError


class Owner(msgspec.Struct, frozen=True):
    """A deployment. ``cluster_id`` is that of the Kafka cluster, empty where the broker does not say."""

    group: str
    log_topic: str
    cluster_id: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Owner)


def encode(owner: Owner) -> bytes:
    """What is stored."""
    return _encoder.encode(owner)


def decode(stored: bytes, key: str) -> Owner:
    """The owner behind stored bytes; ``ConfigError`` where they are not one."""
    try:
        return _decoder.decode(stored)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"Redis key {key}: {error}: expected the deployment that the prefix belongs to") from error


def differences(ours: Owner, theirs: Owner) -> list[str]:
    """In what another deployment differs from this one, in words; an unknown cluster is no difference."""
    words = []
    if theirs.group != ours.group:
        words.append(f"group {theirs.group!r} (LEADSCORE_GROUP is {ours.group!r})")
    if theirs.log_topic != ours.log_topic:
        words.append(f"log topic {theirs.log_topic!r} (LEADSCORE_LOG_TOPIC is {ours.log_topic!r})")
    if theirs.cluster_id and ours.cluster_id and theirs.cluster_id != ours.cluster_id:
        words.append(f"Kafka cluster {theirs.cluster_id!r} (this one is {ours.cluster_id!r})")
    return words
