"""Keys of records: text, JSON, or what a schema registry has the schema of. Pure but for ``lookup``, which asks it.

A key is read when a path reaches for it, so that a key which cannot be read spoils no record that does without.
"""

from leadscore.errors import DeadLetter
from leadscore.events.avro_reader import AvroReader
from leadscore.events.avro_schema import AvroSchema
from leadscore.events.json_text import read_json
from leadscore.events.registered import (
    CONFLUENT_HEADER_BYTES,
    KEY_ID_HEADER,
    Headers,
    RegisteredSchemas,
    SchemaLookup,
    id_in_headers,
    is_registered,
    schema_of,
)

_FIELD = "key"


class Keys:
    """Reads the keys of all topics; keeps one reader per schema id."""

    def __init__(self, lookup: SchemaLookup | None) -> None:
        """Without ``lookup`` keys in a registry's framing cannot be read."""
        self._registered = RegisteredSchemas(lookup, _KeySchema)

    def read(self, key: bytes | str | None, headers: Headers | None) -> object:
        """What a key says, ``None`` for bytes that are no text; ``DeadLetter`` if its schema is wrong."""
        if not key or isinstance(key, str):
            return text_or_json(key)
        id_header = id_in_headers(headers, KEY_ID_HEADER) if headers and self._registered.can_ask else None
        try:
            if id_header is not None:
                return self._registered.of(id_header).read(key, 0)
            if is_registered(key):
                return self._registered.of(key[:CONFLUENT_HEADER_BYTES]).read(key, CONFLUENT_HEADER_BYTES)
        except DeadLetter as error:
            raise DeadLetter(error.reason, f"$key: {error.detail}") from error
        return text_or_json(key)


class _KeySchema:
    """What is read with one schema: a record, or a value by itself, such as text."""

    def __init__(self, answer: dict[str, object]) -> None:
        is_avro = (answer.get("schemaType") or "AVRO") == "AVRO"
        schema = schema_of({**answer, "schema": _as_field(str(answer.get("schema", "")))} if is_avro else answer)
        self._reader = AvroReader(schema, for_mapping=True) if isinstance(schema, AvroSchema) else None

    def read(self, key: bytes, start: int) -> object:
        """What begins there and ends with the key."""
        if self._reader is None:
            return text_or_json(key[start:])
        return self._reader.read(key, start)[_FIELD]


def _as_field(schema: str) -> str:
    """A schema of any type as the only field of a record, which is written as the field alone."""
    return f'{{"type": "record", "name": "leadscore_key", "fields": [{{"name": "{_FIELD}", "type": {schema}}}]}}'


def text_of(value: bytes | str | None) -> str | None:
    """The text; ``None`` for bytes that are none."""
    if value is None or isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def text_or_json(value: bytes | str | None) -> object:
    """What is in a text that is JSON, else the text."""
    text = text_of(value)
    if not text:
        return None
    try:
        return read_json(text) if text[0] in '{["' else text
    except DeadLetter:
        return text


WITHOUT_REGISTRY = Keys(None)
