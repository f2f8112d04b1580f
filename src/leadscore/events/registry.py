"""Client of a Confluent-compatible schema registry: schema by id, and registration. The one part here with a network.

An id that the registry confirms unknown is a dead letter; anything else that goes wrong is ``Unavailable``, never one.
"""

import base64
import time
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import msgspec

from leadscore.errors import ConfigError, DeadLetter, DeadLetterReason, Unavailable

MAX_ANSWER_BYTES = 4 * 1024 * 1024
UNKNOWN_ID_REMEMBERED_S = 5.0
MAX_UNKNOWN_IDS = 1_000

_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
_KINDS = {401: "unauthorized", 403: "unauthorized", 429: "overloaded"}
_REFUSED_SCHEMA = {409: "one compatible with its earlier versions", 422: "a valid schema"}
_ANSWER = msgspec.json.Decoder(dict[str, object])


class RegistryClient:
    """Asks one schema registry. ``lookup`` blocks for at most ``timeout_s``, then one more wait of the socket."""

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
        self._unknown_until_s: dict[int, float] = {}

    def lookup(self, schema_id: int) -> dict[str, object]:
        """The registry's answer for an id: ``schema`` (text), ``schemaType``, ``references``."""
        if self._unknown_until_s.get(schema_id, 0.0) > self._clock():
            raise _unknown_id(schema_id)
        status, answer = self._call("GET", f"schemas/ids/{schema_id}")
        if _is_confirmed_unknown(status, answer):
            self._remember_unknown(schema_id)
            raise _unknown_id(schema_id)
        if status != HTTPStatus.OK or not isinstance(answer.get("schema"), str):
            raise _unavailable_by(status)
        return answer

    def register(self, subject: str, schema: str) -> int:
        """Register a schema text under a subject and return its id; the same text again returns the same id."""
        body = msgspec.json.encode({"schema": schema, "schemaType": "AVRO"})
        status, answer = self._call("POST", f"subjects/{quote(subject, safe='')}/versions", body)
        if status in _REFUSED_SCHEMA:
            expected = _REFUSED_SCHEMA[status]
            raise ConfigError(f"schema registry: subject {subject}: the schema is refused: expected {expected}")
        schema_id = answer.get("id")
        if status != HTTPStatus.OK or type(schema_id) is not int:
            raise _unavailable_by(status)
        return schema_id

    def _call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, object]]:
        """Ask once: status, and the object in the answer (empty if it is none); ``Unavailable`` without an answer."""
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
            response = error  # an answer like any other
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

    def _remember_unknown(self, schema_id: int) -> None:
        """Only for a moment: the id may be registered just now."""
        now_s = self._clock()
        if len(self._unknown_until_s) >= MAX_UNKNOWN_IDS:
            self._unknown_until_s.clear()
        self._unknown_until_s[schema_id] = now_s + UNKNOWN_ID_REMEMBERED_S


def _object_in(body: bytes) -> dict[str, object]:
    try:
        return _ANSWER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}


def _is_confirmed_unknown(status: int, answer: dict[str, object]) -> bool:
    """A registry says so with an error code of its own; a bare 404 may be a proxy's or a wrong address."""
    return status == HTTPStatus.NOT_FOUND and str(answer.get("error_code")).startswith("404")


def _unavailable_by(status: int) -> Unavailable:
    kind = _KINDS.get(status, "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "bad_answer")
    return _unavailable(kind, f"HTTP status {status}, expected a registry's answer")


def _unknown_id(schema_id: int) -> DeadLetter:
    return DeadLetter(DeadLetterReason.UNKNOWN_SCHEMA, f"the registry has no schema with id {schema_id}")


def _unavailable(kind: str, detail: str) -> Unavailable:
    return Unavailable("schema_registry", kind, detail)
