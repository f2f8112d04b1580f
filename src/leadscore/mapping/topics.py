"""The mappings of a file, compiled: one function for each topic. Pure."""

from collections.abc import Mapping

from leadscore.errors import ConfigError
from leadscore.events.validation import LeaveOut, unnoticed
from leadscore.mapping.compiled import CompiledMapping, compile_mapping
from leadscore.mapping.language import TopicMapping
from leadscore.mapping.sense import needs_key

SHORTEST_KEY = 16
"""Characters of a secret that cannot be guessed; a key of 32 random bytes in Base64 has 44."""


def key_problem(mappings: Mapping[str, TopicMapping], lead_id_key: str | None) -> str | None:
    """What is wrong with the key of lead ids, if a mapping needs it."""
    hashing = sorted(topic for topic, mapping in mappings.items() if needs_key(mapping))
    if not hashing or (lead_id_key is not None and len(lead_id_key) >= SHORTEST_KEY):
        return None
    problem = "not set" if lead_id_key is None else f"shorter than {SHORTEST_KEY} characters"
    return (
        f"LEADSCORE_LEAD_ID_KEY_FILE: {problem}: the mapping of {', '.join(hashing)} makes lead ids by keyed_hash; "
        "expected a file with a secret, such as `openssl rand -base64 32` writes"
    )


def compile_mappings(
    mappings: Mapping[str, TopicMapping],
    lead_id_key: str | None,
    command_topic: str | None = None,
    leave_out: LeaveOut = unnoticed,
) -> dict[str, CompiledMapping]:
    """By topic; ``ConfigError`` if a mapping makes lead ids of addresses and there is no key for it."""
    problem = key_problem(mappings, lead_id_key)
    if problem is not None:
        raise ConfigError(problem)
    key = None if lead_id_key is None else lead_id_key.encode()
    return {
        topic: compile_mapping(mapping, key, gives_commands=topic == command_topic, leave_out=leave_out)
        for topic, mapping in mappings.items()
    }
