"""Client of a Confluent-compatible schema registry: schema by id, and registration. The one part here with a network.

An id that the registry confirms unknown is a dead letter; anything else that goes wrong is ``Unavailable``, never one.
"""

import base64
import time
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import NamedTuple, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen
from uuid import UUID

import msgspec
from fastavro.schema import SchemaParseException, to_parsing_canonical_form

from leadscore.errors import ConfigError, DeadLetter, Unavailable, without_traceback
from leadscore.events.avro_schema import refused
from leadscore.events.registered import SchemaKey, key_words, reference_words

MAX_ANSWER_BYTES = 4 * 1024 * 1024
UNKNOWN_ID_REMEMBERED_S = 5.0
MAX_UNKNOWN_IDS = 1_000
MAX_REFERENCES = 50
"""Schemas that a schema may use, directly or not; each is one question to the registry."""

_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
_KINDS = {401: "unauthorized", 403: "unauthorized", 429: "overloaded"}
_REFUSED_SCHEMA = {409: "one compatible with its earlier versions", 422: "a valid schema"}
_FORBIDDEN = {401, 403}
_ANSWER = msgspec.json.Decoder(dict[str, object])


class RegistryClient:
    """Asks one schema registry. A question blocks for at most ``timeout_s``, then one more wait of the socket.

    ``lookup`` asks once, and once more for each schema that the schema refers to.
    """

    def __init__(
        self,
        url: str,
        credentials: tuple[str, str] | None = None,
        timeout_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``credentials`` are user and password of basic authentication; ``clock`` gives seconds that never go back."""
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"schema registry: {url!r}: expected an address that begins with http:// or https://")
        self._url = url.rstrip("/")
        self._headers = {"Accept": f"{_CONTENT_TYPE}, application/json", "Content-Type": _CONTENT_TYPE}
        if credentials is not None:
            token = base64.b64encode(":".join(credentials).encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"
        self._timeout_s = timeout_s
        self._clock = clock
        self._unknown: dict[SchemaKey, _Unknown] = {}

    def lookup(self, key: SchemaKey) -> dict[str, object]:
        """The registry's answer for an id or a GUID: ``schema`` (text), ``schemaType``, ``references``.

        Of Avro, the references are all that the schema uses, directly or not, each after those it uses itself, and
        with its ``schema``.
        """
        unknown = self._unknown.get(key)
        if unknown is not None and unknown.until_s > self._clock():
            raise refused(unknown.detail)
        try:
            return self._complete(key, self._schema(key))
        except DeadLetter as error:
            self._remember_unknown(key, error.detail)
            raise

    def _schema(self, key: SchemaKey) -> dict[str, object]:
        is_guid = isinstance(key, UUID)
        status, answer = self._call("GET", f"schemas/{'guids' if is_guid else 'ids'}/{key}")
        if is_guid and status == HTTPStatus.NOT_FOUND and answer.get("error_code") in (None, status):
            raise _unavailable("bad_answer", f"HTTP status {status} for {key_words(key)}: it may not have GUIDs yet")
        if _is_confirmed_unknown(status, answer):
            raise refused(f"the registry has no {key_words(key)}")
        return _schema_in(status, answer, key_words(key))

    def _complete(self, key: SchemaKey, answer: dict[str, object]) -> dict[str, object]:
        if answer.get("schemaType") not in (None, "AVRO") or not answer.get("references"):
            return answer
        ordered: list[dict[str, object]] = []
        try:
            self._add_references(answer, set(), ordered)
        except DeadLetter as error:
            raise refused(f"{key_words(key)}: {error.detail}") from error
        return {**answer, "references": ordered}

    def _add_references(
        self, answer: dict[str, object], seen: set[tuple[str, int]], ordered: list[dict[str, object]]
    ) -> None:
        """Ask for what the answer refers to, and for what that refers to, first the latter."""
        references = answer.get("references") or []
        for entry in references if isinstance(references, list) else [references]:
            reference = cast("dict[str, object]", entry)
            subject, version = _place_of(entry)
            if (subject, version) in seen:
                continue
            seen.add((subject, version))
            if len(seen) > MAX_REFERENCES:
                raise refused(f"more than {MAX_REFERENCES} schemas are referred to")
            referred = self._referred(reference, subject, version)
            self._add_references(referred, seen, ordered)
            ordered.append({**reference, "schema": referred["schema"]})

    def _referred(self, reference: dict[str, object], subject: str, version: int) -> dict[str, object]:
        path = f"subjects/{quote(subject, safe='')}/versions/{version}?deleted=true"  # it may be used all the same
        status, answer = self._call("GET", path)
        if _is_confirmed_unknown(status, answer):
            raise refused(f"{reference_words(reference)}: the registry has no such version")
        return _schema_in(status, answer, reference_words(reference))

    def schema_id(self, subject: str, schema: str, *, register: bool) -> int:
        """The id of a schema text under a subject: registered if need be, or only looked up."""
        return self.register(subject, schema) if register else self.look_up(subject, schema)

    def register(self, subject: str, schema: str) -> int:
        """Register a schema text under a subject and return its id; the same text again returns the same id."""
        body = msgspec.json.encode({"schema": schema, "schemaType": "AVRO"})
        status, answer = self._call("POST", f"subjects/{quote(subject, safe='')}/versions", body)
        if status in _REFUSED_SCHEMA:
            expected = _REFUSED_SCHEMA[status]
            raise ConfigError(f"schema registry: subject {subject}: the schema is refused: expected {expected}")
        if status in _FORBIDDEN:
            raise _unavailable(
                "unauthorized",
                f"HTTP status {status} when registering the schema of subject {subject}: expected a user who may write "
                "there; where others register it, set LEADSCORE_SCHEMA_REGISTRY_REGISTER=false: the id is looked up",
            )
        return _id_in(status, answer)

    def look_up(self, subject: str, schema: str) -> int:
        """The id of the version of a subject that says the same as the schema text; ``ConfigError`` without one."""
        schema_id = self.find(subject, schema)
        if schema_id is None:
            raise ConfigError(
                f"schema registry: subject {subject}: no version of it is the schema that is written here: register "
                "that first, or set LEADSCORE_SCHEMA_REGISTRY_REGISTER=true"
            )
        return schema_id

    def find(self, subject: str, schema: str) -> int | None:
        """The id of the newest version of a subject that says the same as the schema text. Only reads.

        Documentation and defaults may differ, as in an Avro fingerprint. ``None`` if there is no such version.
        """
        expected = _canonical(schema)
        version: object = "latest"
        while version:
            status, answer = self._call("GET", f"subjects/{quote(subject, safe='')}/versions/{version}")
            if not _is_confirmed_unknown(status, answer):
                schema_id = _id_in(status, answer)
                if _canonical(str(answer.get("schema"))) == expected:
                    return schema_id
                version = answer.get("version")
            version = version - 1 if type(version) is int else 0
        return None

    def schema_uri(self, schema_id: int) -> str:
        """Where anyone can read the schema: an absolute URI, without user, password and query."""
        parts = urlsplit(self._url)
        host = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=host, path=f"{parts.path.rstrip('/')}/schemas/ids/{schema_id}", query="").geturl()

    def _call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, object]]:
        """Ask once: status and answer (empty if it is not an object); ``Unavailable`` without an answer."""
        request = Request(f"{self._url}/{path}", body, self._headers, method=method)  # noqa: S310 - see __init__
        try:
            return self._exchange(request)
        except TimeoutError as error:
            raise self._timed_out() from error
        except URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise self._timed_out() from error
            raise _unavailable("connection", str(error.reason)) from error
        except (OSError, HTTPException) as error:
            raise _unavailable("connection", type(error).__name__) from error

    def _exchange(self, request: Request) -> tuple[int, dict[str, object]]:
        deadline_s = self._clock() + self._timeout_s
        try:
            response = urlopen(request, timeout=self._timeout_s)  # noqa: S310 - see __init__
        except HTTPError as error:
            response = without_traceback(error)  # an answer like any other
        with response:
            return response.status, _object_in(self._read(response, deadline_s))

    def _read(self, response: HTTPResponse, deadline_s: float) -> bytes:
        """The whole answer. The socket's own timeout starts anew with every byte; this one does not."""
        body = b""
        while chunk := response.read1(65_536):
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise _unavailable("bad_answer", f"more than {MAX_ANSWER_BYTES} bytes")
            if self._clock() > deadline_s:
                raise self._timed_out()
        return body

    def _timed_out(self) -> Unavailable:
        return _unavailable("timeout", f"no whole answer in {self._timeout_s:g} s")

    def _remember_unknown(self, key: SchemaKey, detail: str) -> None:
        """Only for a moment: the schema may be registered just now."""
        if len(self._unknown) >= MAX_UNKNOWN_IDS:
            self._unknown.clear()
        self._unknown[key] = _Unknown(self._clock() + UNKNOWN_ID_REMEMBERED_S, detail)


class _Unknown(NamedTuple):
    """What the registry does not have, until when that is taken for certain."""

    until_s: float
    detail: str


def _object_in(body: bytes) -> dict[str, object]:
    try:
        return _ANSWER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}


def _id_in(status: int, answer: dict[str, object]) -> int:
    schema_id = answer.get("id")
    if status != HTTPStatus.OK or type(schema_id) is not int:
        raise _unavailable_by(status)
    return schema_id


def _canonical(schema: str) -> str | None:
    """What of a schema text decides about the bytes; ``None`` where it is no Avro schema."""
    try:
        return to_parsing_canonical_form(msgspec.json.decode(schema))
    except (msgspec.MsgspecError, SchemaParseException, TypeError, ValueError, KeyError):
        return None


def _is_confirmed_unknown(status: int, answer: dict[str, object]) -> bool:
    """A registry says so with an error code of its own; a bare 404 may be a proxy's or a wrong address."""
    return status == HTTPStatus.NOT_FOUND and str(answer.get("error_code")).startswith("404")


def _unavailable_by(status: int, words: str = "") -> Unavailable:
    kind = _KINDS.get(status, "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "bad_answer")
    return _unavailable(kind, f"HTTP status {status}{words}, expected a registry's answer")


def _schema_in(status: int, answer: dict[str, object], words: str) -> dict[str, object]:
    """The answer, if it is one to the question that the words name."""
    if status != HTTPStatus.OK or not isinstance(answer.get("schema"), str):
        raise _unavailable_by(status, f" for {words}")
    return answer


def _place_of(reference: object) -> tuple[str, int]:
    """Subject and version of what is referred to."""
    if isinstance(reference, dict):
        subject, version = reference.get("subject"), reference.get("version")
        if isinstance(subject, str) and type(version) is int:
            return subject, version
    raise refused("references without a subject and a version")


def _unavailable(kind: str, detail: str) -> Unavailable:
    return Unavailable("schema_registry", kind, detail)
