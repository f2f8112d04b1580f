"""What is made of the schemas of a registry, by schema id. Pure but for ``lookup``, which asks the registry."""

from collections.abc import Callable
from typing import Generic, TypeVar

from leadscore.errors import DeadLetter
from leadscore.events.avro_schema import refused

Made = TypeVar("Made")

CONFLUENT_MAGIC = 0x00
CONFLUENT_HEADER_BYTES = 5

SchemaLookup = Callable[[int], dict[str, object]]
"""The registry's answer for a schema id (``schema``, ``schemaType``); ``DeadLetter`` if it has no such schema,
``Unavailable`` if it does not answer."""


def is_registered(value: bytes) -> bool:
    """Whether the id of a schema in a registry stands before the value."""
    return value[0] == CONFLUENT_MAGIC and len(value) >= CONFLUENT_HEADER_BYTES


def avro_text(answer: dict[str, object]) -> str | None:
    """The Avro schema in a registry's answer, ``None`` for JSON; ``DeadLetter`` for a schema that cannot be read."""
    schema_type = answer.get("schemaType") or "AVRO"
    if schema_type == "JSON":
        return None
    if schema_type != "AVRO":
        raise refused(f"a schema of type {schema_type}, expected AVRO or JSON")
    if answer.get("references"):
        raise refused("a schema with references to other subjects, expected a complete one")
    return str(answer.get("schema", ""))


class RegisteredSchemas(Generic[Made]):
    """Asks for each schema once. A schema under an id never changes, so what is refused is refused for good."""

    def __init__(self, lookup: SchemaLookup | None, make: Callable[[dict[str, object]], Made]) -> None:
        """``make`` is given the registry's answer; without ``lookup`` every schema is refused."""
        self._lookup = lookup
        self._make = make
        self._refused: dict[bytes, str] = {}
        self.made: dict[bytes, Made] = {}
        """By the header of the values: the magic byte and the schema id."""

    def first_seen(self, header: bytes) -> Made:
        """What is made of a schema that is not among ``made`` yet."""
        if header in self._refused:
            raise refused(self._refused[header])
        if self._lookup is None:
            raise refused("no schema registry is configured")
        schema_id = int.from_bytes(header[1:], "big")
        answer = self._lookup(schema_id)
        try:
            made = self.made[header] = self._make(answer)
        except DeadLetter as error:
            self._refused[header] = f"schema id {schema_id}: {error.detail}"
            raise refused(self._refused[header]) from error
        return made
