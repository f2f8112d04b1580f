"""The contracts of the configured topics in a schema registry: which they are, and how they come there."""

from collections.abc import Iterator

from leadscore.events.contracts import COMMAND_CONTRACT, CROSSING_SCHEMA, LEAD_SCORE_SCHEMA, contract_of_source
from leadscore.events.local_schemas import schema_texts
from leadscore.events.registry import RegistryClient
from leadscore.mapping.load import load_mappings
from leadscore.ops.choices import CrossingFormat
from leadscore.ops.config import Config


def schema_by_topic(config: Config) -> Iterator[tuple[str, str]]:
    """Topics whose values follow a contract of ours, with the contract's name; foreign sources have none."""
    mapped = load_mappings(config.mappings) if config.mappings else {}
    for topic in config.source_topics:
        contract = contract_of_source(topic)
        if contract is not None and topic not in mapped:
            yield topic, contract.schema
    yield config.command_topic, COMMAND_CONTRACT.schema
    if config.crossing_format is CrossingFormat.AVRO:
        yield config.crossing_topic, CROSSING_SCHEMA
        if config.scores_topic is not None:
            yield config.scores_topic, LEAD_SCORE_SCHEMA


def with_ids(config: Config, registry: RegistryClient, *, register: bool) -> Iterator[str]:
    """Register each contract, or only look it up; a line for each, with its id."""
    for topic, schema in schema_by_topic(config):
        subject = f"{topic}-value"
        schema_id = registry.schema_id(subject, schema_texts()[schema], register=register)
        yield f"{subject}: the schema {schema} has id {schema_id}"


def what_is_missing(config: Config, registry: RegistryClient) -> Iterator[str]:
    """A line for each contract: its id, or that it would be registered. Only reads."""
    for topic, schema in schema_by_topic(config):
        subject = f"{topic}-value"
        schema_id = registry.find(subject, schema_texts()[schema])
        state = "would be registered" if schema_id is None else f"is there, with id {schema_id}"
        yield f"{subject}: the schema {schema} {state}"
