"""Where a worker with this configuration answers on its own machine, for the commands that ask it."""

from leadscore.errors import ConfigError
from leadscore.ops.config import Config

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is asked is this machine itself


def worker_address(config: Config) -> tuple[str, int]:
    """Its host and port; ``ConfigError`` where it took any free port."""
    if config.http_port == 0:
        raise ConfigError("LEADSCORE_HTTP_PORT: '0': expected the port of the running worker; it took any free one")
    return _ANY_ADDRESS.get(config.http_host, config.http_host), config.http_port


def worker_url(config: Config) -> str:
    """The same as an address of HTTP."""
    host, port = worker_address(config)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
