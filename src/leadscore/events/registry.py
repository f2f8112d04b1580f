"""Client of a Confluent-compatible schema registry: schema by id, and registration. The one part here with a network.

An id that the registry confirms unknown is a dead letter; anything else that goes wrong is ``Unavailable``, never one.
"""

import base64
import socket
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from typing import NoReturn, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import msgspec

from leadscore.errors import ConfigError, DeadLetter, DeadLetterReason, Unavailable

MAX_ANSWER_BYTES = 4 * 1024 * 1024
UNKNOWN_ID_REMEMBERED_S = 5.0
MAX_UNKNOWN_IDS = 1_000

_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
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
            raise ConfigError(f"schema registry: {url!r}: wanted an address that begins with http:// or https://")
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
        try:
            answer = self._call(Request(f"{self._url}/schemas/ids/{schema_id}", headers=self._headers))  # noqa: S310 - http(s) only
        except HTTPError as error:
            if _is_confirmed_unknown(error):
                self._remember_unknown(schema_id)
                raise _unknown_id(schema_id) from error
            _raise_unavailable(error)
        if not isinstance(answer.get("schema"), str):
            raise _unavailable("bad_answer", "an answer without a schema")
        return answer

    def register(self, subject: str, schema: str) -> int:
        """Register a schema text under a subject and return its id; the same text again returns the same id."""
        body = msgspec.json.encode({"schema": schema, "schemaType": "AVRO"})
        url = f"{self._url}/subjects/{quote(subject, safe='')}/versions"
        try:
            answer = self._call(Request(url, data=body, headers=self._headers, method="POST"))  # noqa: S310 - http(s) only
        except HTTPError as error:
            if error.code in (409, 422):
                wanted = "compatible with its earlier versions" if error.code == 409 else "a valid schema"
                raise ConfigError(
                    f"schema registry: subject {subject}: the schema is refused, wanted one {wanted}"
                ) from error
            _raise_unavailable(error)
        schema_id = answer.get("id")
        if type(schema_id) is not int:
            raise _unavailable("bad_answer", "an answer without an id")
        return schema_id

    def _call(self, request: Request) -> dict[str, object]:
        """One request; ``HTTPError`` for a status that is not 2xx, ``Unavailable`` for what is no answer at all."""
        deadline_s = self._clock() + self._timeout_s
        try:
            with urlopen(request, timeout=self._timeout_s) as response:  # noqa: S310 - the address begins with http
                return _ANSWER.decode(self._read(cast("HTTPResponse", response), deadline_s))
        except HTTPError:
            raise
        except TimeoutError as error:
            raise _unavailable("timeout", f"no answer in {self._timeout_s:g} s") from error
        except URLError as error:
            timed_out = isinstance(error.reason, TimeoutError | socket.timeout)
            raise _unavailable("timeout" if timed_out else "connection", str(error.reason)) from error
        except (OSError, HTTPException) as error:
            raise _unavailable("connection", type(error).__name__) from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _unavailable("bad_answer", "the answer is not a JSON object") from error

    def _read(self, response: HTTPResponse, deadline_s: float) -> bytes:
        """The whole answer. The socket's own timeout starts anew with every byte; this one does not."""
        chunks = []
        while chunk := response.read1(65_536):
            chunks.append(chunk)
            if sum(map(len, chunks)) > MAX_ANSWER_BYTES:
                raise _unavailable("bad_answer", f"more than {MAX_ANSWER_BYTES} bytes")
            if self._clock() > deadline_s:
                raise _unavailable("timeout", f"the answer is not complete after {self._timeout_s:g} s")
        return b"".join(chunks)

    def _remember_unknown(self, schema_id: int) -> None:
        """Only for a moment: the id may be registered just now."""
        now_s = self._clock()
        if len(self._unknown_until_s) >= MAX_UNKNOWN_IDS:
            self._unknown_until_s.clear()
        self._unknown_until_s[schema_id] = now_s + UNKNOWN_ID_REMEMBERED_S


def _is_confirmed_unknown(error: HTTPError) -> bool:
    """A registry says so with an error code of its own; a bare 404 may be a proxy's or a wrong address."""
    if error.code != 404:
        return False
    try:
        code = _ANSWER.decode(error.read(65_536)).get("error_code")
    except (OSError, HTTPException, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return str(code).startswith("404")


def _raise_unavailable(error: HTTPError) -> NoReturn:
    kinds = {401: "unauthorized", 403: "unauthorized", 429: "overloaded"}
    kind = kinds.get(error.code, "server_error" if error.code >= 500 else "bad_answer")
    raise _unavailable(kind, f"HTTP status {error.code}") from error


def _unknown_id(schema_id: int) -> DeadLetter:
    return DeadLetter(DeadLetterReason.UNKNOWN_SCHEMA, f"the registry has no schema with id {schema_id}")


def _unavailable(kind: str, detail: str) -> Unavailable:
    return Unavailable("schema_registry", kind, detail)
