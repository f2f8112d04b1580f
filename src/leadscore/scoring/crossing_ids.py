"""The ids of crossings: computed from what crosses and why, never drawn, so that a replay gives the same (1.7). Pure.

UUIDs of version 5, as ``uuid.uuid5`` computes them; this does so on bytes, for a third of the time.
"""

from hashlib import sha1
from typing import Final
from uuid import NAMESPACE_URL, uuid5

CROSSING_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:leadscore:crossing")
_NAMESPACE: Final = CROSSING_NAMESPACE.bytes


def enter_id(model: str, lead_id: str, threshold: str, record_type: str, record_id: str) -> bytes:
    """The id of the enter that this event or command causes."""
    return _uuid5(_NAMESPACE, f"{model}\x1f{lead_id}\x1f{threshold}\x1f{record_type}\x1f{record_id}")


def old_enter_id(model: str, lead_id: str, threshold: str, record_id: str) -> bytes:
    """The same for an event or command in a log record of format 1, as the version computed it that wrote those."""
    return _uuid5(_NAMESPACE, f"{model}\x1f{lead_id}\x1f{threshold}\x1f{record_id}")


def leave_id(entered: bytes) -> bytes:
    """The id of the leave that ends this enter."""
    return _uuid5(entered, "leave")


def id_text(crossing_id: bytes) -> str:
    """The id as UUIDs are written."""
    digits = crossing_id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _uuid5(namespace: bytes, name: str) -> bytes:
    hashed = bytearray(sha1(namespace + name.encode(), usedforsecurity=False).digest()[:16])
    hashed[6] = hashed[6] & 0x0F | 0x50
    hashed[8] = hashed[8] & 0x3F | 0x80
    return bytes(hashed)
