"""The rest of the cycle: visitors become known, sales says what becomes of a lead, customers grow or have trouble.

It is added to the stories of ``personas``, with chance of its own after theirs.
"""

from itertools import cycle

import msgspec

from leadscore.demo.personas import Stage, random_id
from leadscore.events.event import Event
from leadscore.log.records import MERGE
from leadscore.time_units import DAY_MS, HOUR_MS, SECOND_MS

CUSTOMER = "customer"
"""The persona of a lead that has bought before its story begins."""
REASONS = ("budget", "timing", "wrong_person", "no_answer")
_SAY_WHO = ("website.form_submitted", "website.contact_requested")
_ASK_FOR_SALES = ("website.contact_requested", "meeting.booked")


def become_known(stage: Stage) -> None:
    """What was done on the website before a form said who it is came under the id of a cookie; now both are one."""
    known_ms = min((event.occurred_at_ms for event in stage.events if event.type in _SAY_WHO), default=0)
    before = [event for event in stage.events if event.type.startswith("website.") and event.occurred_at_ms < known_ms]
    if not before:
        return
    visitor_id = random_id(stage.random)
    stage.events = [
        msgspec.structs.replace(event, lead_id=visitor_id) if event in before else event for event in stage.events
    ]
    merge_id = random_id(stage.random)
    stage.events.append(Event(MERGE, merge_id, visitor_id, known_ms + SECOND_MS, {"into": stage.lead.lead_id}))


class SalesTeam:
    """Accepts a lead that asked for sales, or gives it back with a reason; a deal is won or lost.

    It answers by turns and not by chance, so that a short list of leads has every answer too.
    """

    def __init__(self) -> None:
        self._accepts = cycle((True, False, True, True, False))
        self._wins = cycle((True, False))

    def answer(self, stage: Stage) -> None:
        """What sales says of the lead, if it asked."""
        asked_ms = min((event.occurred_at_ms for event in stage.events if event.type in _ASK_FOR_SALES), default=None)
        if asked_ms is None:
            return
        told_ms = asked_ms + stage.random.randint(2, 40) * HOUR_MS
        if not next(self._accepts):
            stage.happen(told_ms, "crm.rejected", reason=stage.random.choice(REASONS))
            return
        stage.happen(told_ms, "crm.accepted")
        closed_ms = told_ms + stage.random.randint(2, 8) * DAY_MS
        stage.happen(closed_ms, "deal.won" if next(self._wins) else "deal.lost")


def live_as_customer(stage: Stage) -> None:
    """A customer outgrows its plan, or has trouble with what it bought."""
    day = stage.random.uniform(0, 0.5 * stage.days)
    stage.tell_profile(stage.office_hour(day), customer=True)
    for number in range(3):
        stage.happen(stage.office_hour(day + number * stage.pace), "app.activity", activity="report_opened")
    (_grow if stage.chance(0.5) else _have_trouble)(stage, day + 3 * stage.pace)


def _grow(stage: Stage, day: float) -> None:
    at_ms = stage.office_hour(day)
    for activity in ("colleague_invited",) * 4 + ("recurring_task_created",) * 2 + ("limit_reached",):
        stage.happen(at_ms, "app.activity", activity=activity)
        at_ms += stage.random.randint(1, 5) * HOUR_MS
    stage.visit(at_ms, ("/account/upgrade",))


def _have_trouble(stage: Stage, day: float) -> None:
    stage.happen(stage.office_hour(day), "service.ticket_opened", ticket="export", priority="urgent")
    stage.happen(stage.office_hour(day + stage.pace), "service.ticket_reopened", ticket="export")
    stage.happen(stage.office_hour(day + 2 * stage.pace), "service.rated", rating=1)
