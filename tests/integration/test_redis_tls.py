"""The store over TLS: Redis's own certificate and the authority behind it are changed, as docs/security.md says."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from leadscore.errors import Unavailable
from leadscore.ops.config import load_config
from leadscore.pipeline.stores import make_store
from leadscore.store.failures import FailureKind
from leadscore.store.redis_store import RedisStore
from tests.conftest import NEEDS_TLS_REDIS, asking_for
from tests.secured_servers import Authority, Certificate, start_secured_redis, tls_options
from tests.servers import RedisServer, wait_until


@pytest.fixture
def own_redis(authority: Authority) -> Iterator[RedisServer]:
    with asking_for(NEEDS_TLS_REDIS):
        server = start_secured_redis(authority)
    with server:
        yield server


def store_of(server: RedisServer, authority: Authority, trusted: Path) -> RedisStore:
    """A store that trusts those of the file, and shows a certificate of the authority."""
    options = tls_options(authority, authority.issue("tls-worker")).replace(str(authority.certificate), str(trusted))
    return make_store(load_config({"LEADSCORE_REDIS_URL": f"{server.url.partition('?')[0]}?{options}"}))


def change_certificate(server: RedisServer, certificate: Certificate) -> None:
    with closing(redis.Redis.from_url(server.url)) as administrator:
        administrator.execute_command(
            *("CONFIG", "SET", "tls-cert-file", str(certificate.certificate), "tls-key-file", str(certificate.key))
        )


def answers(store: RedisStore) -> bool:
    """Over a new connection."""
    store.close()
    return store.read_shards([0])[0].fence is None


def test_a_new_certificate_of_the_same_authority_needs_nothing(own_redis: RedisServer, authority: Authority) -> None:
    with closing(store_of(own_redis, authority, authority.certificate)) as store:
        assert answers(store)
        change_certificate(own_redis, authority.issue("redis-renewed"))
        assert answers(store)


def test_an_authority_is_changed_with_both_in_the_file_meanwhile(
    own_redis: RedisServer, authority: Authority, tmp_path: Path
) -> None:
    newer = Authority(tmp_path, "newer")
    both = tmp_path / "both.pem"
    both.write_text(authority.certificate.read_text() + newer.certificate.read_text())
    with (
        closing(store_of(own_redis, authority, authority.certificate)) as too_early,
        closing(store_of(own_redis, authority, both)) as store,
    ):
        assert answers(store)
        change_certificate(own_redis, newer.issue("redis-of-the-newer"))
        assert answers(store)
        with pytest.raises(Unavailable, match="certificate verify failed"):
            answers(too_early)


def test_a_certificate_for_another_host_is_refused(own_redis: RedisServer, authority: Authority) -> None:
    with closing(store_of(own_redis, authority, authority.certificate)) as store:
        change_certificate(own_redis, authority.issue("redis-elsewhere", "DNS:elsewhere.example"))
        with pytest.raises(Unavailable, match="certificate verify failed") as refused:
            answers(store)
    assert refused.value.kind == FailureKind.AUTH


def test_a_redis_that_refuses_the_certificate_of_the_worker_is_told_as_a_refusal(
    own_redis: RedisServer, authority: Authority, tmp_path: Path
) -> None:
    """The end of the connection may overtake what Redis says of the certificate, but not each time."""
    options = tls_options(authority, Authority(tmp_path, "another").issue("tls-worker"))
    config = load_config({"LEADSCORE_REDIS_URL": f"{own_redis.url.partition('?')[0]}?{options}"})
    kinds = set()

    def is_told() -> bool:
        with closing(make_store(config)) as store, pytest.raises(Unavailable) as refused:
            answers(store)
        kinds.add(refused.value.kind)
        return FailureKind.AUTH in kinds

    wait_until(is_told, 20, "the refusal")
    assert kinds <= {FailureKind.AUTH, FailureKind.CONNECTION}
