"""Keeps the tags of an e-mail tool as leadscore says, and starts a flow when a lead enters or leaves a segment.

A segment is a threshold of model.yaml; segments.json says which tag and which flows it has. README.md beside this file
says how to run it, what the tool's API must offer, and what happens after a crash.
"""

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from confluent_kafka import Message

from subscriber import Api, Decoder, key_of, number_setting, setting, work_on

OF_THEIR_OWN = {"EVENT", "COMMAND", "INSTANT", "TIME"}
"""Causes after which a flow may write to a person; not after a complaint, and not when ids were merged."""


class Segment(NamedTuple):
    """What a threshold stands for at the e-mail tool; flows are optional."""

    tag: str
    entered: str | None = None
    left: str | None = None


class Latest:
    """The last crossing of each lead and threshold. A tag has no id, so a late repeat would set it again."""

    def __init__(self, path: str) -> None:
        self._rows = sqlite3.connect(path)
        self._rows.execute(
            "create table if not exists latest (lead, threshold, sequence, decided_at, primary key (lead, threshold))"
        )

    def is_news(self, crossing: dict[str, Any]) -> bool:
        """Whether the crossing is later than the last one."""
        row = self._rows.execute(
            "select sequence, decided_at from latest where lead = ? and threshold = ?",
            (crossing["lead_id"], crossing["threshold"]),
        ).fetchone()
        sequence, decided_at = row or (0, 0.0)
        return (crossing["sequence"] or 0) > sequence or crossing["decided_at"].timestamp() > decided_at

    def remember(self, crossing: dict[str, Any]) -> None:
        """It is the last one now."""
        names = ("lead_id", "threshold", "sequence")
        row = (*(crossing[name] or 0 for name in names), crossing["decided_at"].timestamp())
        with self._rows:
            self._rows.execute("insert or replace into latest values (?, ?, ?, ?)", row)

    def forget(self, lead_id: str) -> None:
        """The lead is erased."""
        with self._rows:
            self._rows.execute("delete from latest where lead = ?", (lead_id,))


class Segments:
    """Brings one record after another into the e-mail tool. Every step gives the same result when it is done twice."""

    def __init__(self, tool: Api, crossings: Decoder, segments: dict[str, Segment], latest: Latest) -> None:
        self._tool = tool
        self._crossings = crossings
        self._segments = segments
        self._latest = latest

    def work(self, message: Message) -> None:
        """A crossing of a segment, or the end of an erased lead."""
        value = message.value()
        if value is None:
            self._forget(key_of(message))
            return
        crossing = self._crossings.decode(value)
        segment = self._segments.get(crossing["threshold"])
        if segment is not None and self._latest.is_news(crossing):
            self._cross(segment, crossing)
            self._latest.remember(crossing)

    def _cross(self, segment: Segment, crossing: dict[str, Any]) -> None:
        path = tag_path(crossing["lead_id"], segment.tag)
        if crossing["direction"] == "ENTER":
            self._tool.call("PUT", path)
            self._start(segment.entered, crossing)
        elif crossing["direction"] == "LEAVE":
            self._tool.call("DELETE", path, also=(404,))
            self._start(segment.left, crossing)

    def _start(self, flow: str | None, crossing: dict[str, Any]) -> None:
        """Start the flow's step; the tool starts it once for an id."""
        if flow is not None and not crossing["stale"] and crossing["cause"] in OF_THEIR_OWN:
            start = {"id": crossing["id"], "subscriber": crossing["lead_id"]}
            self._tool.call("POST", f"/flows/{quote(flow, safe='')}/starts", start, also=(409,))

    def _forget(self, lead_id: str) -> None:
        for segment in self._segments.values():
            self._tool.call("DELETE", tag_path(lead_id, segment.tag), also=(404,))
        self._tool.call("DELETE", f"/subscribers/{quote(lead_id, safe='')}/flows", also=(404,))
        self._latest.forget(lead_id)


def tag_path(lead_id: str, tag: str) -> str:
    """Its address under the API's."""
    return f"/subscribers/{quote(lead_id, safe='')}/tags/{quote(tag, safe='')}"


def segments_of(path: str) -> dict[str, Segment]:
    """The segments by threshold, from the file."""
    try:
        return {threshold: Segment(**segment) for threshold, segment in json.loads(Path(path).read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        sys.exit(f"{path}: expected by threshold a tag, and flows for 'entered' and 'left' at will: {error}")


def main() -> None:
    """Work until SIGTERM."""
    tool = Api(
        setting("EMAIL_TOOL_URL", "the address of the e-mail tool's API"),
        setting("EMAIL_TOOL_TOKEN", "a token that may set tags and start flows"),
        number_setting("TIMEOUT_S", 10.0),
    )
    folder = setting("SCHEMAS", "the folder with crossing.avsc", "../schemas")
    crossings = Decoder("crossing", folder, setting("SCHEMA_REGISTRY_URL", "the registry's address", ""))
    segments = segments_of(setting("SEGMENTS", "the file of segments", "segments/segments.json"))
    latest = Latest(setting("STORE", "a file that outlives the program", "segments.sqlite"))
    topic = setting("TOPIC", "the topic of crossings", "leadscore.crossings")
    work_on([topic], Segments(tool, crossings, segments, latest).work)


if __name__ == "__main__":
    main()
