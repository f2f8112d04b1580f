"""The schema registry, if one is configured: whether it answers, and whether it has the contracts."""

from leadscore.cli.checkup.findings import Findings, ok, problem
from leadscore.cli.registering import schema_by_topic
from leadscore.errors import LeadscoreError
from leadscore.events.local_schemas import schema_texts
from leadscore.ops.config import Config
from leadscore.ops.services import SCHEMA_REGISTRY, addresses_of
from leadscore.pipeline.schema_registry import make_registry


def schema_registry(config: Config) -> Findings:
    """A finding for each contract; nothing is registered."""
    registry = make_registry(config)
    if registry is None:
        return
    where = addresses_of(config)[SCHEMA_REGISTRY]
    for topic, schema in schema_by_topic(config):
        subject = f"{topic}-value"
        try:
            schema_id = registry.find(subject, schema_texts()[schema])
        except LeadscoreError as error:
            yield problem(
                SCHEMA_REGISTRY,
                f"{where}: {error}",
                "Check LEADSCORE_SCHEMA_REGISTRY_URL, ..._USER and ..._PASSWORD, and that the registry is running.",
            )
            return
        if schema_id is not None:
            yield ok(SCHEMA_REGISTRY, f"{where}: {subject} has the schema {schema}, with id {schema_id}")
        elif config.schema_registry_register:
            yield ok(SCHEMA_REGISTRY, f"{where}: {subject}: {schema} is registered when a worker starts")
        else:
            yield problem(
                SCHEMA_REGISTRY,
                f"{where}: {subject} has no version that is the schema {schema}",
                "Register it (`leadscore schemas register`), or set LEADSCORE_SCHEMA_REGISTRY_REGISTER=true.",
            )
