"""The worker's password for Redis comes from a variable of its own, so that it can be a mounted secret."""

from contextlib import closing

import pytest

from leadscore.errors import Unavailable
from leadscore.ops.config import Config, load_config
from leadscore.pipeline.stores import make_store
from tests.servers import redis_binaries, start_redis

PASSWORD = "p@ss:word/%2F"


def test_the_redis_password_of_the_configuration_opens_redis() -> None:
    with start_redis(next(iter(redis_binaries()))) as server, closing(make_store(config(server.url))) as locked_out:
        assert locked_out.read_shards([0])[0].fence is None
        require_password(server.url)
        locked_out.close()
        with pytest.raises(Unavailable, match="auth"):
            locked_out.read_shards([0])
        with closing(make_store(config(server.url, LEADSCORE_REDIS_PASSWORD=PASSWORD))) as store:
            assert store.read_shards([0])[0].fence is None


def config(url: str, **more: str) -> Config:
    return load_config({"LEADSCORE_REDIS_URL": url, **more})


def require_password(url: str) -> None:
    import redis

    with closing(redis.Redis.from_url(url)) as client:
        client.config_set("requirepass", PASSWORD)
