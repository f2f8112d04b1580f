"""The client of the schema registry, as configured."""

from leadscore.events.registry import RegistryClient
from leadscore.ops.addresses import login_of, without_login
from leadscore.ops.config import Config


def make_registry(config: Config) -> RegistryClient | None:
    """The schema registry as configured, if there is one; nothing is connected yet."""
    if config.schema_registry_url is None:
        return None
    user, password = config.schema_registry_user, config.schema_registry_password
    url = config.schema_registry_url
    credentials = (user, password) if user is not None and password is not None else login_of(url)
    return RegistryClient(without_login(url), credentials, config.schema_registry_timeout_ms / 1000)
