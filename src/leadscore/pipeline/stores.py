"""The store that a configuration names."""

from collections.abc import Callable

from leadscore.ops.addresses import split_urls, with_password
from leadscore.ops.config import Config
from leadscore.store.endpoints import Login
from leadscore.store.redis_store import RedisStore


def make_store(config: Config, on_lost_script: Callable[[], None] | None = None) -> RedisStore:
    """The store as configured; nothing is connected yet."""
    password = config.redis_password
    urls = split_urls(config.redis_url)
    if password is not None:
        urls = tuple(with_password(url, password) for url in urls)
    sentinel_password = config.redis_sentinel_password
    login = None if sentinel_password is None else Login(config.redis_sentinel_user, sentinel_password)
    return RedisStore(
        urls,
        config.redis_prefix,
        config.log_partitions,
        config.redis_timeout_ms / 1000,
        sentinel_login=login,
        on_lost_script=on_lost_script,
    )
