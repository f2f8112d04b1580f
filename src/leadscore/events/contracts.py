"""The contracts of what goes into the worker: one table, a row for each schema that events come in. Pure.

A contract is known by its schema file, by its Avro record, by the events it carries, and by how the names of its topics
end. The last is a convention of ``topics create``, ``produce`` and the demo alone: the worker reads every format from
every topic.
"""

from dataclasses import dataclass
from typing import Literal

TopicRole = Literal["website", "email", "webinar", "profiles", "commands"]
"""What a topic carries, and how its name ends."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One contract. ``type_prefix`` stands before the enum symbol in an event's type: ``website.page_view``."""

    schema: str
    record: str
    type_prefix: str
    topic_role: TopicRole


CONTRACTS = (
    Contract("website_event", "leadscore.v1.WebsiteEvent", "website", "website"),
    Contract("email_event", "leadscore.v1.EmailEvent", "email", "email"),
    Contract("webinar_event", "leadscore.v1.WebinarEvent", "webinar", "webinar"),
    Contract("lead_profile", "leadscore.v1.LeadProfile", "profile", "profiles"),
    Contract("lead_command", "leadscore.v1.LeadCommand", "command", "commands"),
)
EVENT_CONTRACTS = tuple(contract for contract in CONTRACTS if contract.type_prefix != "command")
"""Those of the source topics; commands have a topic of their own, whatever its name."""
COMMAND_CONTRACT = next(contract for contract in CONTRACTS if contract.type_prefix == "command")
CROSSING_SCHEMA = "crossing"
"""The contract of what comes out."""
LEAD_SCORE_SCHEMA = "lead_score"
"""The contract of the scores topic."""

_BY_RECORD = {contract.record: contract for contract in CONTRACTS}
_BY_TYPE_PREFIX = {contract.type_prefix: contract for contract in CONTRACTS}


def contract_of_record(record: str) -> Contract | None:
    """The contract with this Avro record, by its full name."""
    return _BY_RECORD.get(record)


def contract_of_type(event_type: str) -> Contract | None:
    """The contract whose events have such types, by what stands before the first dot."""
    return _BY_TYPE_PREFIX.get(event_type.partition(".")[0])


def contract_of_source(topic: str) -> Contract | None:
    """The contract that a source topic is taken to follow: the one whose role its name ends with."""
    return next((contract for contract in EVENT_CONTRACTS if topic.endswith(contract.topic_role)), None)
