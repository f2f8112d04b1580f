"""What is made of the schemas of a registry, by schema id. Pure but for ``lookup``, which asks the registry."""

from collections.abc import Callable
from typing import Generic, TypeVar, cast
from uuid import UUID

from leadscore.errors import DeadLetter
from leadscore.events.avro_schema import AvroSchema, AvroUnion, Reference, read_schema, refused

Made = TypeVar("Made")
Headers = list[tuple[str, bytes | None]]

CONFLUENT_MAGIC = 0x00
CONFLUENT_HEADER_BYTES = 5
GUID_MAGIC = 0x01
GUID_HEADER_BYTES = 17
ID_HEADER = "__value_schema_id"
"""Where newer Confluent clients write what else stands before a value: a magic byte, and the schema's id or GUID."""
KEY_ID_HEADER = "__key_schema_id"
"""The same of a record's key."""

SchemaKey = int | UUID
"""What a registry has a schema by: its id, or its GUID, which is the same in every registry."""
SchemaLookup = Callable[[SchemaKey], dict[str, object]]
"""The registry's answer for a schema (``schema``, ``schemaType``, and ``references``, each with its ``schema`` and
after those it refers to itself); ``DeadLetter`` if it has no such schema, ``Unavailable`` if it does not answer."""

_PROTOBUF = (
    "a Protobuf schema, which is not read: expected Avro or JSON Schema; have the producer write one of these, or a "
    "stream processor write the topic again"
)


def is_registered(value: bytes) -> bool:
    """Whether the id of a schema in a registry stands before the value."""
    return value[0] == CONFLUENT_MAGIC and len(value) >= CONFLUENT_HEADER_BYTES


def id_in_headers(headers: Headers, header: str = ID_HEADER) -> bytes | None:
    """The schema id among the headers of a record, as it would stand before the value; ``None`` without one."""
    for name, value in reversed(headers):  # a record that was written again has the newest last
        if name == header:
            return _schema_id(value or b"", header)
    return None


def _schema_id(value: bytes, header: str) -> bytes:
    size = {CONFLUENT_MAGIC: CONFLUENT_HEADER_BYTES, GUID_MAGIC: GUID_HEADER_BYTES}.get(value[0] if value else -1, 0)
    if not 0 < size <= len(value):
        raise refused(f"the header {header} holds no schema id: expected 0 and 4 bytes, or 1 and a GUID of 16 bytes")
    return value[:size]  # Protobuf has more behind it


def schema_of(answer: dict[str, object]) -> AvroSchema | AvroUnion | None:
    """The Avro schema in a registry's answer, ``None`` for JSON; ``DeadLetter`` for a schema that cannot be read."""
    schema_type = answer.get("schemaType") or "AVRO"
    if schema_type == "JSON":
        return None
    if schema_type == "PROTOBUF":
        raise refused(_PROTOBUF)
    if schema_type != "AVRO":
        raise refused(f"a schema of type {schema_type}, expected AVRO or JSON")
    references = cast("list[dict[str, object]]", answer.get("references") or [])
    return read_schema(str(answer.get("schema", "")), [_reference(reference) for reference in references])


def reference_words(reference: dict[str, object]) -> str:
    """A reference as messages name it."""
    name, subject, version = (reference.get(key) for key in ("name", "subject", "version"))
    return f"reference {name} (subject {subject}, version {version})"


def _reference(reference: dict[str, object]) -> Reference:
    return Reference(reference_words(reference), str(reference.get("schema", "")))


def key_words(key: SchemaKey) -> str:
    """A schema as messages name it."""
    return f"schema id {key}" if isinstance(key, int) else f"schema {key}"


class RegisteredSchemas(Generic[Made]):
    """Asks for each schema once. A schema under an id never changes, so what is refused is refused for good."""

    def __init__(self, lookup: SchemaLookup | None, make: Callable[[dict[str, object]], Made]) -> None:
        """``make`` is given the registry's answer; without ``lookup`` every schema is refused."""
        self._lookup = lookup
        self._make = make
        self._refused: dict[bytes, str] = {}
        self.made: dict[bytes, Made] = {}
        """By what stands before the values or in a header: the magic byte, and the schema's id or GUID."""

    @property
    def can_ask(self) -> bool:
        """Whether there is a registry."""
        return self._lookup is not None

    def of(self, header: bytes) -> Made:
        """What is made of the schema with this id, which stands before a value or in a header as ``made`` has it."""
        return self.made.get(header) or self._first_seen(header)

    def _first_seen(self, header: bytes) -> Made:
        if header in self._refused:
            raise refused(self._refused[header])
        if self._lookup is None:
            raise refused("no schema registry is configured: LEADSCORE_SCHEMA_REGISTRY_URL")
        key = UUID(bytes=header[1:]) if header[0] == GUID_MAGIC else int.from_bytes(header[1:], "big")
        answer = self._lookup(key)
        try:
            made = self.made[header] = self._make(answer)
        except DeadLetter as error:
            self._refused[header] = f"{key_words(key)}: {error.detail}"
            raise refused(self._refused[header]) from error
        return made
