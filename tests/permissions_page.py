"""The rights that docs/permissions.md lists, as tests give them to users of their own."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[1] / "docs" / "permissions.md"


def _block(heading: str, number: int = 1) -> str:
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1]
    return section.split("```acl\n")[number].split("```")[0].strip()


def redis_rules(prefix: str, password: str) -> list[str]:
    """What follows the name of the user in ``ACL SETUSER``, for another prefix."""
    _, name, *rules = _block("Redis").split()
    assert name == "leadscore"
    assert f">{'PASSWORD'}" in rules
    return [rule.replace("{leadscore:", f"{{{prefix}:").replace("PASSWORD", password) for rule in rules]


def sentinel_rules(password: str) -> list[str]:
    """What follows the name of the user in ``ACL SETUSER`` of a Sentinel."""
    _, name, *rules = _block("Redis", 2).split()
    assert name == "leadscore"
    assert f">{'PASSWORD'}" in rules
    return [rule.replace("PASSWORD", password) for rule in rules]


def redis_rights() -> list[str]:
    """The commands and keys that are allowed."""
    return [rule for rule in _block("Redis").split() if rule[0] in "+~"]


def rights_in_tables() -> list[str]:
    """The rights that the tables of the page give the reasons for, the two that are needed elsewhere at the end."""
    return [right.replace("\\|", "|") for right in re.findall(r"`(\+[a-z\\|]+)`", PAGE.read_text(encoding="utf-8"))]


class KafkaRight(NamedTuple):
    """An operation on one topic or group, or on transactional ids that begin so; the name is the one of the page."""

    operation: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.operation} on the {self.kind} {self.name}"


def kafka_rights() -> list[KafkaRight]:
    """Every right that a worker needs without a scores topic."""
    return [right for line in _block("Kafka").splitlines() for right in _rights_of(line)]


def scores_rights() -> list[KafkaRight]:
    """Those that a worker with a scores topic needs besides."""
    return [right for line in _block("Kafka", 2).splitlines() for right in _rights_of(line)]


def _rights_of(line: str) -> Iterator[KafkaRight]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--resource-pattern-type")
    for option in ("--operation", "--topic", "--group", "--transactional-id"):
        parser.add_argument(option, action="append", default=[])
    args = parser.parse_args(line.split())
    for operation in args.operation:
        yield from (KafkaRight(operation, "topic", topic) for topic in args.topic)
        yield from (KafkaRight(operation, "group", group) for group in args.group)
        yield from (KafkaRight(operation, "transactional_id", name) for name in args.transactional_id)
