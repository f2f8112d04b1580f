"""The W3C trace context that a record carries in its headers, and that what it causes carries on. Pure.

A context that is not well-formed is left out: tracing must not cost an event.
"""

import re
from collections.abc import Iterable
from typing import Final

from leadscore.log.records import Trace

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
MOST_STATE_BYTES: Final = 512
"""As many as a party must be able to carry; a longer one is left out."""

_PARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_STATE: Final = re.compile(rb"[\x20-\x7e]+")

Header = tuple[str, str | bytes | None]


def trace_of(headers: Iterable[Header]) -> Trace | None:
    """The context in these headers; of several, the first counts."""
    parent: bytes | None = None
    state: bytes | None = None
    for name, value in headers:
        if not isinstance(value, bytes):
            continue
        if name == TRACEPARENT and parent is None:
            parent = value
        elif name == TRACESTATE and state is None:
            state = value
    if parent is None or len(parent) > MOST_STATE_BYTES or not _PARENT.fullmatch(parent):
        return None
    if state is not None and (len(state) > MOST_STATE_BYTES or not _STATE.fullmatch(state)):
        state = None
    return Trace(parent.decode("ascii", "replace"), None if state is None else state.decode("ascii"))


def trace_headers(trace: Trace) -> list[Header]:
    """The headers that carry the context on."""
    headers: list[Header] = [(TRACEPARENT, trace.parent)]
    if trace.state is not None:
        headers.append((TRACESTATE, trace.state))
    return headers
