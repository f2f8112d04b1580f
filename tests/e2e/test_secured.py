"""Workers on a Kafka and a Redis that want TLS and a login: every kind of login, and a restart from one to the next."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from leadscore.events.event import Event
from tests.deployment import WANDERING_MODEL, WorkerProcess, assert_exact, wandering_events
from tests.e2e.metric_series import series
from tests.secured_deployment import SecuredDeployment, run, run_command, variables
from tests.secured_servers import (
    CLIENT_SECRET,
    PASSWORDS,
    Authority,
    Certificate,
    SecuredKafka,
    token_endpoint,
)
from tests.security_page import environment, told_refusals
from tests.servers import RedisServer, wait_until

pytestmark = [pytest.mark.lasting_leads, pytest.mark.timeout(300)]

FIRST_PASSWORD, SECOND_PASSWORD, WRONG = "first/p#w:%", "second p@w&?=", "wrong-secret-7f3a"


@pytest.fixture
def deployment(
    secured_kafka: SecuredKafka, secured_redis: RedisServer, fresh_name: object, tmp_path: Path
) -> Iterator[SecuredDeployment]:
    """Its worker has the rights of docs/permissions.md, and no other, in both."""
    name = fresh_name("d")  # type: ignore[operator]
    made = SecuredDeployment(secured_kafka, secured_redis, (name, name), tmp_path, WANDERING_MODEL)
    made.create_topics(source_partitions=2)
    made.create(*made.bindings_of_the_page())
    with made.redis_user(name, FIRST_PASSWORD):
        made.environ |= redis_login(made, secured_kafka.authority.issue(f"{name}-redis"), FIRST_PASSWORD)
        yield made
        made.stop()
    change_password(made, PASSWORDS["worker"])


def redis_login(deployment: SecuredDeployment, certificate: Certificate, password: str) -> dict[str, str]:
    """The settings of the page."""
    instead = {
        "/etc/leadscore/ca.pem": str(deployment.secured.authority.certificate),
        "/etc/leadscore/redis.pem": str(certificate.certificate),
        "/run/secrets/redis-key": str(certificate.key),
        "/run/secrets/redis-password": secret_file(deployment, password),
        "leadscore@redis:6379": f"{deployment.name}@{deployment.redis.url.partition('://')[2].partition('/')[0]}",
    }
    return environment("Redis: TLS, a user and a client certificate", instead)


def change_password(deployment: SecuredDeployment, password: str) -> None:
    """Of the worker in Kafka: from then on the one before opens no connection."""
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    changes: list[UserScramCredentialAlteration] = [UserScramCredentialUpsertion("worker", how, password.encode())]
    for answer in deployment.admin.alter_user_scram_credentials(changes).values():
        answer.result(timeout=30)


class Life(NamedTuple):
    """A worker with one login after another; ``events`` is all that was sent."""

    deployment: SecuredDeployment
    events: list[Event]

    def send(self, number: int = 150) -> None:
        more = wandering_events(f"{self.deployment.name}-{len(self.events)}", number)
        self.deployment.send(more)
        self.events.extend(more)

    def change(self, old: WorkerProcess, **login: str) -> WorkerProcess:
        """The new one starts while the old one works; both have events to come."""
        self.send()
        new = self.deployment.start_worker(**login)
        new.wait_for("starting")
        self.send()
        assert old.terminate() == 0
        self.send()
        self.deployment.wait_until_done()
        return new


def test_a_restart_changes_passwords_certificates_and_tokens_and_loses_nothing(deployment: SecuredDeployment) -> None:
    """Over SCRAM, client certificates and tokens a worker does its whole job, and each login is withdrawn in turn."""
    kafka, life = deployment.secured, Life(deployment, [])
    authority = kafka.authority
    with ExitStack() as stack, deployment._redis() as redis:
        life.send()
        worker = deployment.start_worker()
        deployment.wait_until_done()

        redis.execute_command("ACL", "SETUSER", deployment.name, f">{SECOND_PASSWORD}")  # both are right for a while
        change_password(deployment, SECOND_PASSWORD)
        second = redis_login(deployment, authority.issue("second-redis"), SECOND_PASSWORD)
        worker = life.change(worker, **second, **by_password(deployment, SECOND_PASSWORD))
        redis.execute_command("ACL", "SETUSER", deployment.name, f"<{FIRST_PASSWORD}")
        life.send()

        principal = f"{deployment.name}-renewed"
        worker = life.change(worker, **second, **by_certificate(deployment, authority.issue("worker")))
        renewed = deployment.bindings_of_the_page(f"User:{principal}")
        deployment.create(*renewed)
        worker = life.change(worker, **second, **by_certificate(deployment, authority.issue(principal)))
        withdraw(deployment, deployment.bindings_of_the_page())
        life.send()
        deployment.wait_until_done()

        deployment.create(*deployment.bindings_of_the_page())
        token = by_token(deployment, stack.enter_context(token_endpoint(kafka.tokens)))
        worker = life.change(worker, **second, **token)
        withdraw(deployment, renewed)
        life.send()
        deployment.wait_until_settled()
        assert_exact(deployment, life.events)
        assert "lead-1" in run_command(deployment, "explain", "lead-1", **second, **token)
        assert worker.terminate() == 0
    assert_no_secret(deployment)


def assert_no_secret(deployment: SecuredDeployment) -> None:
    """Of all that workers have said: no password, no client secret, no token, no key."""
    said = "".join(worker.log_path.read_text() for worker in deployment.workers)
    secrets = (FIRST_PASSWORD, SECOND_PASSWORD, WRONG, CLIENT_SECRET, PASSWORDS["worker"], "eyJ", "PRIVATE KEY")
    assert [secret for secret in secrets if secret in said] == []


def by_password(deployment: SecuredDeployment, password: str) -> dict[str, str]:
    return of_kafka(
        deployment,
        "Kafka: TLS and a password",
        {
            "broker-1:9093": deployment.kafka.bootstrap,
            "=leadscore\n": "=worker\n",
            "/run/secrets/kafka-password": secret_file(deployment, password),
        },
    )


def by_certificate(deployment: SecuredDeployment, certificate: Certificate) -> dict[str, str]:
    return of_kafka(
        deployment,
        "Kafka: client certificates",
        {
            "broker-1:9094": deployment.secured.mutual_bootstrap,
            "/etc/leadscore/kafka.pem": str(certificate.certificate),
            "/run/secrets/kafka-key": str(certificate.key),
        },
    )


def by_token(deployment: SecuredDeployment, endpoint: str) -> dict[str, str]:
    return of_kafka(
        deployment,
        "Kafka: tokens",
        {
            "broker-1:9093": deployment.kafka.bootstrap,
            "https://login.example/oauth2/token": endpoint,
            "=leadscore\n": "=worker\n",
            "/run/secrets/kafka-client": secret_file(deployment, CLIENT_SECRET),
        },
    )


def of_kafka(deployment: SecuredDeployment, heading: str, instead: dict[str, str]) -> dict[str, str]:
    """The settings of the page, and nothing of another login: a variable that is empty counts as not set."""
    trusted = {"/etc/leadscore/ca.pem": str(deployment.secured.authority.certificate)}
    others = dict.fromkeys(variables(deployment.secured.scram_login("worker")), "")
    return others | environment(heading, instead | trusted)


def secret_file(deployment: SecuredDeployment, secret: str) -> str:
    """A file with a newline at its end, as most have."""
    path = deployment.folder / f"secret-{len(list(deployment.folder.iterdir()))}"
    path.write_text(f"{secret}\n")
    return str(path)


def withdraw(deployment: SecuredDeployment, rights: list[AclBinding]) -> None:
    deployment.take_back(*rights)


REFUSED_BY_REDIS = 'leadscore_store_errors_total{kind="auth"}'


def test_a_password_that_is_withdrawn_under_a_worker_costs_no_event(deployment: SecuredDeployment) -> None:
    """It is cut off from Redis in the midst of its work, says so, and one with the new password takes over."""
    life = Life(deployment, [])
    life.send()
    old = deployment.start_worker()
    deployment.wait_until_done()
    with deployment._redis() as redis:
        redis.execute_command("ACL", "SETUSER", deployment.name, "resetpass", f">{SECOND_PASSWORD}")
        redis.execute_command("CLIENT", "KILL", "USER", deployment.name)
    change_password(deployment, SECOND_PASSWORD)
    life.send()
    wait_until(lambda: series(old.get("/metrics")[1])[REFUSED_BY_REDIS] > 0, 30, "the worker to be refused")
    wait_until(lambda: old.get("/readyz")[0] == 503, 30, "the worker to be unready")
    assert FIRST_PASSWORD not in json.dumps(old.lines())
    new = deployment.start_worker(
        **redis_login(deployment, deployment.secured.authority.issue("third-redis"), SECOND_PASSWORD),
        **by_password(deployment, SECOND_PASSWORD),
    )
    old.expected_to_die = True
    old.terminate()
    life.send()
    deployment.wait_until_settled()
    assert_exact(deployment, life.events)
    assert new.terminate() == 0


class Refusal(NamedTuple):
    """What a worker was started with, and the words that must say what is wrong."""

    environ: dict[str, str]
    cause: str

    @property
    def words(self) -> list[str]:
        """One of them, where the moment decides."""
        return self.cause.split("` or `")


def refusals(deployment: SecuredDeployment, folder: Path, endpoint: str) -> dict[str, Refusal]:
    """One for every line of the page."""
    redis_url = deployment.environ["LEADSCORE_REDIS_URL"]
    trusted, other = str(deployment.secured.authority.certificate), str(Authority(folder, "other").certificate)
    nobody = by_certificate(deployment, deployment.secured.authority.issue(f"{deployment.name}-nobody"))
    without = dict.fromkeys(("LEADSCORE_KAFKA__SSL_CERTIFICATE_LOCATION", "LEADSCORE_KAFKA__SSL_KEY_LOCATION"), "")
    wrong_secret = by_token(deployment, endpoint) | {
        "LEADSCORE_KAFKA__SASL_OAUTHBEARER_CLIENT_SECRET_FILE": secret_file(deployment, WRONG)
    }
    by_name = deployment.kafka.bootstrap.replace("127.0.0.1", "localhost")
    return {
        "wrong password": Refusal(by_password(deployment, WRONG), "Authentication failed"),
        "no rights": Refusal(nobody, "authorization failed"),
        "another authority": Refusal(variables({"ssl.ca.location": other}), "certificate verify failed"),
        "another host": Refusal(variables({"bootstrap.servers": by_name}), "certificate verify failed"),
        "no certificate": Refusal(nobody | without, "alert bad certificate"),
        "token": Refusal(wrong_secret, "Failed to acquire SASL OAUTHBEARER token"),
        "no TLS": Refusal(variables({"security.protocol": "SASL_PLAINTEXT"}), "Broker transport failure"),
        "Redis: password": Refusal(
            {"LEADSCORE_REDIS_PASSWORD_FILE": secret_file(deployment, WRONG)}, "invalid username-password pair"
        ),
        "Redis: authority": Refusal(
            {"LEADSCORE_REDIS_URL": redis_url.replace(trusted, other)}, "certificate verify failed"
        ),
        "Redis: no certificate": Refusal(
            {"LEADSCORE_REDIS_URL": redis_url.partition("&")[0]}, "certificate required` or `violation of protocol"
        ),
        "Redis: no TLS": Refusal(
            {"LEADSCORE_REDIS_URL": redis_url.partition("?")[0].replace("rediss", "redis")}, "Connection reset by peer"
        ),
    }


def test_a_login_and_a_certificate_that_are_refused_count_in_the_metrics(
    deployment: SecuredDeployment, tmp_path: Path
) -> None:
    """What LeadscoreAccessRefused is made from; a worker waits at its start, and may be scraped meanwhile."""
    other = str(Authority(tmp_path, "other").certificate)
    nobody = deployment.secured.authority.issue(f"{deployment.name}-nobody")
    refused = {
        'leadscore_kafka_errors_total{kind="authentication"}': (
            by_password(deployment, WRONG),
            variables({"ssl.ca.location": other}),
        ),
        'leadscore_kafka_errors_total{kind="authorization"}': (by_certificate(deployment, nobody),),
        REFUSED_BY_REDIS: ({"LEADSCORE_REDIS_PASSWORD_FILE": secret_file(deployment, WRONG)},),
    }
    workers = [
        (counter, deployment.start_worker(**environ)) for counter, environs in refused.items() for environ in environs
    ]
    for counter, worker in workers:
        worker.wait_for("listening", 60)
        wait_until(lambda: series(worker.get("/metrics")[1])[counter] > 0, 60, counter)  # noqa: B023
        worker.expected_to_die = True
        worker.terminate()


def test_a_start_says_what_is_wrong_with_its_login_or_its_certificate(
    deployment: SecuredDeployment, tmp_path: Path
) -> None:
    """As the page has it, and ``topics create`` too; all at the same time, because most of it is waiting."""
    short = {"LEADSCORE_START_TIMEOUT": "3s", "LEADSCORE_LOG_LEVEL": "debug"}
    with token_endpoint(deployment.secured.tokens) as endpoint:
        cases = refusals(deployment, tmp_path, endpoint)
        workers = {name: deployment.start_worker(**case.environ, **short) for name, case in cases.items()}
        refused = run(deployment, "topics", "create", **by_password(deployment, WRONG))
        assert refused.returncode == 1
        assert "Authentication failed" in refused.stderr
        for worker in workers.values():
            worker.wait_for_death(90)
    assert_no_secret(deployment)
    causes = {name: worker.said("worker_stopped")[0]["detail"] for name, worker in workers.items()}
    wrong = {name: causes[name] for name, case in cases.items() if not any(w in causes[name] for w in case.words)}
    assert not wrong
    assert {word for case in cases.values() for word in case.words} == set(told_refusals())
    assert "GSSAPI" not in str(causes)
