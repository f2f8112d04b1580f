"""The variables of the environment that are ours, with their texts, files read. What they mean is in ``config``."""

import difflib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from leadscore.ops.kafka_properties import KAFKA_PREFIX, is_named_file

PREFIX = "LEADSCORE_"
OF_OTHERS = ("LEADSCORE_TEST_", "LEADSCORE_BUILD")
"""Variables of the tests and of the installation: not for the worker."""
FILE_SUFFIX = "_FILE"
"""A variable with this after its name holds the path of a file with the value: for secrets."""

_MISSPELT_KAFKA = re.compile(r"^(?:K[AFK]{2,6}|KAF[A-Z]*)_+(?=[A-Z0-9])")

# Kubernetes puts variables of its own into a pod for every service; those of one named "leadscore-..." get our prefix.
_SERVICE_LINK = re.compile(r"LEADSCORE(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_\w+)?)")
_SERVICE_LINK_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


class Variable(NamedTuple):
    """The text of a variable; ``origin`` is the variable that was set, the one with ``_FILE`` for a file."""

    text: str
    origin: str

    @property
    def from_file(self) -> bool:
        """Whether the text is the content of a file."""
        return self.origin.endswith(FILE_SUFFIX)


def read_variables(environ: Mapping[str, str], names: Collection[str], problems: list[str]) -> dict[str, Variable]:
    """All variables of ours; an empty one counts as not set. ``names`` are those of settings; librdkafka's come on top.

    What is wrong is added to ``problems``.
    """
    variables: dict[str, Variable] = {}
    for origin, entry in sorted(environ.items()):
        if not entry or not origin.startswith(PREFIX) or origin.startswith(OF_OTHERS):
            continue
        name = _without_file(origin)
        if name not in names and re.fullmatch(KAFKA_PREFIX + "[A-Z0-9_]+", name) is None:
            if not _is_service_link(origin, entry):
                problems.append(_unknown(origin, names))
        elif name in variables:
            problems.append(f"{name}: set twice, also as {name}{FILE_SUFFIX}: expected one of them")
        else:
            content = _read_file(origin, entry, problems) if name != origin else entry
            variables[name] = Variable(content, origin)
    return {name: variable for name, variable in variables.items() if variable.text}


def _without_file(origin: str) -> str:
    if origin.startswith(KAFKA_PREFIX) and is_named_file(origin):
        return origin
    return origin.removesuffix(FILE_SUFFIX)


def _is_service_link(origin: str, entry: str) -> bool:
    if origin.endswith("_PORT") and _SERVICE_LINK_ADDRESS.match(entry):
        return True
    return _SERVICE_LINK.fullmatch(origin) is not None


def _unknown(origin: str, names: Collection[str]) -> str:
    suffix = FILE_SUFFIX if origin.endswith(FILE_SUFFIX) else ""
    nearest = _nearest(origin.removesuffix(FILE_SUFFIX).removeprefix(PREFIX), names)
    advice = f"did you mean {PREFIX}{nearest}{suffix}?" if nearest else "docs/configuration.md lists all"
    return f"{origin}: unknown variable; {advice}"


def _nearest(tail: str, names: Collection[str]) -> str | None:
    """The name most like this one, both without the prefix; any property may follow a misspelt ``KAFKA__``."""
    as_property = _MISSPELT_KAFKA.sub("KAFKA__", tail)
    if as_property != tail:
        return as_property
    tails = [name.removeprefix(PREFIX) for name in names]
    return next(iter(difflib.get_close_matches(tail, tails, n=1)), None)


def _read_file(origin: str, path: str, problems: list[str]) -> str:
    try:
        content = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        # The path is not shown: it may be the secret itself, set in the wrong variable.
        problems.append(f"{origin}: cannot read the file: {why}: expected the path of a file with the value")
        return ""
    if not content:
        problems.append(f"{origin}: the file is empty: expected one with the value")
    return content
