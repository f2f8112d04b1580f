"""Keeps contacts and tasks of a CRM as leadscore says: score fields, and one task per qualification.

README.md beside this file says how to run it, what the CRM's API must offer, and what happens after a crash.
"""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from confluent_kafka import Message

from subscriber import Api, Decoder, Refused, key_of, number_setting, setting, work_on

SCORE_FIELDS = ("score", "engagement", "fit", "grade")
OF_THE_SCORE = (*SCORE_FIELDS, "band", "disqualified", "in_thresholds", "other_scores", "scored_at", "score_revision")
OURS = (*OF_THE_SCORE, "merged_into", "merged_at")
"""The contact's fields that this program writes."""


class Sync:
    """Brings one record after another into the CRM. Every step gives the same result when it is done twice."""

    def __init__(self, crm: Api, crossings: Decoder, scores: Decoder | None = None, scores_topic: str = "") -> None:
        self._crm = crm
        self._crossings = crossings
        self._scores = scores
        self._scores_topic = scores_topic

    def work(self, message: Message) -> None:
        """A crossing or the latest score of a lead, or the end of either."""
        value = message.value()
        if self._scores is not None and message.topic() == self._scores_topic:
            if value is None:
                self.clear_score(key_of(message))
            else:
                self.score(self._scores.decode(value))
        elif value is None:
            self.forget(key_of(message))
        else:
            self.cross(self._crossings.decode(value))

    def score(self, latest: dict[str, Any]) -> None:
        """The latest score of a lead, as the topic of scores has it."""
        others = {name: f"{score['score']:.1f}" for name, score in sorted(latest["scores"].items())}
        fields = {name: latest[name] for name in (*SCORE_FIELDS, "band", "disqualified")} | {
            "in_thresholds": ", ".join(place["threshold"] for place in latest["thresholds"] if place["place"] == "IN"),
            "other_scores": ", ".join(f"{name} {score}" for name, score in others.items()),
            "scored_at": instant(latest["decided_at"]),
            "score_revision": latest["revision"],
        }
        contact = self._contact(latest["lead_id"])
        if not is_over(contact, latest):
            self._write_score(contact, latest["lead_id"], fields)

    def clear_score(self, lead_id: str) -> None:
        """The lead is erased or forgotten, or is another's alias from now on."""
        self._crm.call("PATCH", contact_path(lead_id), dict.fromkeys(OF_THE_SCORE), also=(404,))

    def cross(self, crossing: dict[str, Any]) -> None:
        """Directions that are newer than this program change the score alone."""
        if crossing.get("merged_with"):
            self._note_merge(crossing)
        contact = self._contact(crossing["lead_id"])
        is_of_main_score = crossing.get("score_name") is None
        if self._scores is None and is_of_main_score and not is_over(contact, crossing):
            fields = {name: crossing[name] for name in SCORE_FIELDS} | {"scored_at": instant(crossing["decided_at"])}
            self._write_score(contact, crossing["lead_id"], fields)
        if crossing["direction"] == "LEAVE":
            self._close(crossing)
        elif crossing["direction"] == "ENTER" and not is_over(contact, crossing):
            self._open(crossing)

    def _note_merge(self, crossing: dict[str, Any]) -> None:
        """Take the score off the contact that is now another's alias. What was decided before is over from now on."""
        alias, lead_id = crossing["merged_with"], crossing["lead_id"]
        if crossing["direction"] == "LEAVE":
            alias, lead_id = lead_id, alias
        merge = {"merged_into": lead_id, "merged_at": instant(crossing["decided_at"])}
        if (self._contact(alias).get("merged_at") or "") < merge["merged_at"]:
            self._crm.call("PUT", contact_path(alias), dict.fromkeys(OURS) | merge)

    def _write_score(self, contact: dict[str, Any], lead_id: str, fields: dict[str, Any]) -> None:
        """Write the score, unless a later one is there: a record may come again after its successors."""
        if revision_of(contact) <= revision_of(fields):
            self._crm.call("PUT", contact_path(lead_id), fields | {"merged_into": None})

    def _open(self, crossing: dict[str, Any]) -> None:
        if crossing.get("merged_with") and self._rekey(crossing):
            return
        task = {
            "external_id": crossing["id"],
            "contact": crossing["lead_id"],
            "threshold": crossing["threshold"],
            "score_name": crossing.get("score_name"),
            "score": crossing["score"],
            "state": "open",
            "notify": not is_late(crossing),
            "reasons": crossing["reasons"],
            "entered_at": instant(crossing["occurred_at"]),
            "left_because": None,
            "goes_on_as": None,
        }
        self._crm.call("POST", "/tasks", task, also=(409,))  # 409: it is there already

    def _rekey(self, crossing: dict[str, Any]) -> bool:
        """Make the alias's task the lead's, with all that sales wrote on it; false where the alias has none."""
        query = urlencode({"contact": crossing["merged_with"], "threshold": crossing["threshold"]})
        tasks = [
            task
            for task in self._crm.call("GET", f"/tasks?{query}").body
            if task["left_because"] is None or task["goes_on_as"]
        ]
        if not tasks:
            return False
        task = max(tasks, key=lambda task: (task["entered_at"], task["external_id"]))
        change = {"external_id": crossing["id"], "contact": crossing["lead_id"]}
        change |= {"left_because": None, "goes_on_as": None}
        if task["state"] == "closed":  # by the alias's leave, which came first
            change["state"] = "open"
        # 404: another process has just taken it. 409: the lead's task is there already.
        return self._crm.call("PATCH", task_path(task["external_id"]), change, also=(404, 409)).status != 404

    def _close(self, crossing: dict[str, Any]) -> None:
        """Close the task of the enter that ends; what sales has finished stays finished."""
        if crossing["entered_id"] is None:
            raise Refused("a leave without entered_id")
        path = task_path(crossing["entered_id"])
        answer = self._crm.call("GET", path, also=(404,))
        if answer.status != 404:
            change = {"left_because": crossing["cause"], "goes_on_as": crossing.get("merged_with")}
            if answer.body["state"] == "open":
                change["state"] = "closed"
            self._crm.call("PATCH", path, change, also=(404,))

    def forget(self, lead_id: str) -> None:
        """Take back the fields and tasks of an erased lead, and what says that another contact is its alias."""
        for task in self._crm.call("GET", f"/tasks?{urlencode({'contact': lead_id})}").body:
            self._crm.call("DELETE", task_path(task["external_id"]), also=(404,))
        aliases = self._crm.call("GET", f"/contacts?{urlencode({'merged_into': lead_id})}").body
        for contact_id in (lead_id, *(contact["external_id"] for contact in aliases)):
            self._crm.call("PATCH", contact_path(contact_id), dict.fromkeys(OURS), also=(404,))

    def _contact(self, lead_id: str) -> dict[str, Any]:
        answer = self._crm.call("GET", contact_path(lead_id), also=(404,))
        return {} if answer.status == 404 else answer.body


def is_late(crossing: dict[str, Any]) -> bool:
    """Whether the crossing is no reason to disturb anyone: decided late, or over by now."""
    projected = crossing["projected_exit_at"]
    return crossing["stale"] or (projected is not None and projected <= datetime.now(UTC))


def is_over(contact: dict[str, Any], record: dict[str, Any]) -> bool:
    """Whether the record was decided before its lead became another's alias, or at that moment."""
    merged_at, decided_at = contact.get("merged_at") or "", instant(record["decided_at"])
    is_lead_again = record.get("direction") == "ENTER" and record.get("cause") == "MERGED"
    return merged_at > decided_at or (merged_at == decided_at and not is_lead_again)


def revision_of(fields: dict[str, Any]) -> tuple[str, int]:
    """Of two scores of a contact the one with the higher revision is the later."""
    return fields.get("scored_at") or "", fields.get("score_revision") or 0


def contact_path(lead_id: str) -> str:
    """Its address under the API's."""
    return f"/contacts/{quote(lead_id, safe='')}"


def task_path(enter_id: str) -> str:
    """Its address under the API's."""
    return f"/tasks/{quote(enter_id, safe='')}"


def instant(time: datetime) -> str:
    """``2026-01-05T10:00:00.000Z``: of one length, so that the later of two is the greater text."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


def main() -> None:
    """Work until SIGTERM."""
    crm = Api(
        setting("CRM_URL", "the address of the CRM's API"),
        setting("CRM_TOKEN", "a token that may write contacts and tasks"),
        number_setting("TIMEOUT_S", 10.0),
    )
    folder = setting("SCHEMAS", "the folder with crossing.avsc", "../schemas")
    registry = setting("SCHEMA_REGISTRY_URL", "the registry's address", "")
    crossings = Decoder("crossing", folder, registry)
    topics = [setting("TOPIC", "the topic of crossings", "leadscore.crossings")]
    scores_topic = setting("SCORES_TOPIC", "the topic of scores", "")
    if not scores_topic:
        work_on(topics, Sync(crm, crossings).work)
    else:
        sync = Sync(crm, crossings, Decoder("lead_score", folder, registry), scores_topic)
        work_on([*topics, scores_topic], sync.work)


if __name__ == "__main__":
    main()
