"""A deployment whose worker is the user ``worker`` in Kafka, or another in Redis, with the rights it was given."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import redis
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tests.deployment import Deployment
from tests.permissions_page import KafkaRight, kafka_rights, redis_rules, scores_rights
from tests.secured_servers import SecuredKafka
from tests.servers import RedisServer

WORKER = "User:worker"


def variables(properties: Mapping[str, str]) -> dict[str, str]:
    """The environment that gives Kafka's clients these properties."""
    return {f"LEADSCORE_KAFKA__{name.upper().replace('.', '_')}": text for name, text in properties.items()}


class SecuredDeployment(Deployment):
    """Its tools are the administrator, its workers are not."""

    def __init__(
        self,
        kafka: SecuredKafka,
        redis_server: RedisServer,
        names: tuple[str, str],
        folder: Path,
        model: Mapping[str, Any],
    ) -> None:
        super().__init__(kafka.server, redis_server, names, folder, model)
        self.secured = kafka
        self.environ |= variables(kafka.scram_login("worker"))

    @cached_property  # an answer is lost with the client that asked
    def admin(self) -> AdminClient:
        return AdminClient(dict(self.kafka.properties))

    def allow(self, kind: ResourceType, name: str, operation: AclOperation) -> None:
        self.create(
            AclBinding(kind, name, ResourcePatternType.PREFIXED, WORKER, "*", operation, AclPermissionType.ALLOW)
        )

    def create(self, *acls: AclBinding) -> None:
        for answer in self.admin.create_acls(list(acls)).values():
            answer.result(timeout=30)

    def deny_reading(self, topic: str) -> AclBinding:
        literal, deny = ResourcePatternType.LITERAL, AclPermissionType.DENY
        binding = AclBinding(ResourceType.TOPIC, topic, literal, WORKER, "*", AclOperation.READ, deny)
        self.create(binding)
        return binding

    def take_back(self, *acls: AclBinding) -> None:
        same = [
            AclBindingFilter(
                acl.restype,
                acl.name,
                acl.resource_pattern_type,
                acl.principal,
                acl.host,
                acl.operation,
                acl.permission_type,
            )
            for acl in acls
        ]
        for answer in self.admin.delete_acls(same).values():
            assert answer.result(timeout=30)

    # --- the rights of docs/permissions.md ---

    def binding(self, right: KafkaRight, principal: str = WORKER) -> AclBinding:
        """The right of the page on what the deployment has instead."""
        name = right.name.replace("leadscore", self.name, 1)
        kind, operation = ResourceType[right.kind.upper()], AclOperation[right.operation.upper()]
        pattern = ResourcePatternType.PREFIXED if name.endswith("-") else ResourcePatternType.LITERAL
        return AclBinding(kind, name, pattern, principal, "*", operation, AclPermissionType.ALLOW)

    def bindings_of_the_page(self, principal: str = WORKER) -> list[AclBinding]:
        return [self.binding(right, principal) for right in (*kafka_rights(), *scores_rights())]

    @contextmanager
    def redis_user(self, user: str, password: str) -> Iterator["redis.Redis"]:
        """A user in Redis with exactly the rights of the page; the administrator's client."""
        with closing(redis.Redis.from_url(self.redis.url)) as client:
            client.execute_command("ACL", "SETUSER", user, "reset", *redis_rules(self.prefix, password))
            yield client
            client.execute_command("ACL", "DELUSER", user)


def run(deployment: Deployment, *words: str, **overrides: str) -> subprocess.CompletedProcess[str]:
    """A command, in the environment of the deployment's workers."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("LEADSCORE_")}
    return subprocess.run(
        [sys.executable, "-m", "leadscore.cli.main", *words],
        env=environ | deployment.config(**overrides),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def run_command(deployment: Deployment, *words: str, **overrides: str) -> str:
    """What a command prints that succeeds."""
    done = run(deployment, *words, **overrides)
    assert done.returncode == 0, done.stderr
    return done.stdout
