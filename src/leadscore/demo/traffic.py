"""Believable input traffic: the stories of many leads in one order of time, with duplicates and garbage on request.

The same ``Random`` seed and plan give the same records. The whole traffic is made before the first record is handed
out (about 0.6 KiB of memory per event).
"""

from collections.abc import Iterator
from itertools import count, cycle, islice
from random import Random

import msgspec

from leadscore.demo.personas import Lead, Stage, invent_lead, live, random_id
from leadscore.demo.whole_cycle import CUSTOMER, SalesTeam, become_known, live_as_customer
from leadscore.events.contracts import TopicRole, contract_of_type
from leadscore.events.event import Event
from leadscore.time_units import DAY_MS

# Twenty leads in the proportions of a usual list; dealt in turn, so that small lists have everybody too.
_DECK = (
    ("buyer", "newsletter reader", "dormant", "job seeker", "bot") * 2
    + ("buyer", "newsletter reader", "dormant") * 2
    + ("buyer", "newsletter reader", "newsletter reader", "job seeker")
)

_REDELIVERED_WITHIN_MS = 120_000


class TrafficPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What traffic is expected, in [``start_ms``, ``end_ms``), a day or more; ``leads`` or ``events`` must be given.

    ``events`` is the number of records, duplicates and garbage among them; with ``leads`` as well, leads live further
    stories until there are enough, or the traffic's latest records are taken. ``duplicates`` and ``garbage`` are
    shares of all records, from 0 to below 0.5. ``whole_cycle``: visitors also become known, sales says what becomes of
    leads, and there are customers.
    """

    start_ms: int
    end_ms: int
    leads: int | None = None
    events: int | None = None
    duplicates: float = 0.0
    garbage: float = 0.0
    whole_cycle: bool = False


class GeneratedEvent(msgspec.Struct, frozen=True, gc=False):
    """A record to produce: an event, or bytes that no decoder accepts. ``timestamp_ms`` is the Kafka timestamp."""

    topic_role: TopicRole
    timestamp_ms: int
    content: Event | bytes


def generate(random: Random, plan: TrafficPlan) -> Iterator[GeneratedEvent]:
    """The traffic of the plan, by timestamp; too short a span or a plan without numbers is a ``ValueError``."""
    if plan.end_ms - plan.start_ms < DAY_MS or (not plan.leads and plan.events is None):
        raise ValueError("a plan needs a span of a day or more, and leads or events")
    originals = _originals(random, plan)
    clean_share = 1 - plan.duplicates - plan.garbage
    total = plan.events if plan.events is not None else round(len(originals) / clean_share)
    records = [GeneratedEvent(topic_role_of(event.type), event.occurred_at_ms, event) for event in originals]
    if originals:
        records += [_redelivered(random, random.choice(originals), plan) for _ in range(round(total * plan.duplicates))]
        records += [_garbage(random, random.choice(originals)) for _ in range(round(total * plan.garbage))]
    records.sort(key=_timestamp_ms)
    return iter(records)


def topic_role_of(event_type: str) -> TopicRole:
    """The topic where events of the type are at home; types of no topic of their own travel with the website's."""
    contract = contract_of_type(event_type)
    return "website" if contract is None else contract.topic_role


def _originals(random: Random, plan: TrafficPlan) -> list[Event]:
    """The events that are neither duplicates nor garbage: as many as the plan leaves room for, by time."""
    expected = None
    if plan.events is not None:
        expected = plan.events - round(plan.events * plan.duplicates) - round(plan.events * plan.garbage)
    events: list[Event] = []
    sales = SalesTeam()
    for position, lead in enumerate(_leads(random, plan)):
        everybody_lived = plan.leads is None or position >= plan.leads
        if everybody_lived and (expected is None or len(events) >= expected):
            break
        stage = Stage(random, lead, plan.start_ms, plan.end_ms)
        _play(stage, plan, sales)
        events += stage.events
    events.sort(key=_occurred_at_ms)
    return events if expected is None else events[len(events) - expected :]


def _play(stage: Stage, plan: TrafficPlan, sales: SalesTeam) -> None:
    if stage.lead.persona == CUSTOMER:
        live_as_customer(stage)
        return
    live(stage)
    if plan.whole_cycle:
        sales.answer(stage)
        become_known(stage)


def _leads(random: Random, plan: TrafficPlan) -> Iterator[Lead]:
    """Leads without end: the plan's, again and again, or always new ones."""
    deck = (*_DECK, CUSTOMER) if plan.whole_cycle else _DECK
    invented = (invent_lead(random, deck[position % len(deck)]) for position in count())
    return invented if plan.leads is None else cycle(islice(invented, plan.leads))


def _redelivered(random: Random, event: Event, plan: TrafficPlan) -> GeneratedEvent:
    again_ms = event.occurred_at_ms + random.randint(0, _REDELIVERED_WITHIN_MS)
    return GeneratedEvent(topic_role_of(event.type), max(event.occurred_at_ms, min(again_ms, plan.end_ms - 1)), event)


def _garbage(random: Random, beside: Event) -> GeneratedEvent:
    """Bytes with something wrong in them, at the time of some event."""
    event_id = random_id(random)
    value = random.choice(
        (
            b"",
            random.randbytes(random.randint(1, 60)).replace(b"{", b"\xff").lstrip(b"\x00\xc3 \t\r\n") or b"\xff",
            b"\x00\x00\x00",
            b"\xc3\x01" + random.randbytes(8) + b"of no known schema",
            f'{{"type": "website.page_view", "event_id": "{event_id}", "lead'.encode(),
            f'{{"type": "website.page_view", "event_id": "{event_id}", "occurred_at": 1}}'.encode(),
            f'{{"type": "email.click", "event_id": "{event_id}", "lead_id": "L1", "occurred_at": "soon"}}'.encode(),
        )
    )
    role: TopicRole = random.choice(("website", "email", "webinar"))
    return GeneratedEvent(role, beside.occurred_at_ms, value)


def _timestamp_ms(record: GeneratedEvent) -> int:
    return record.timestamp_ms


def _occurred_at_ms(event: Event) -> int:
    return event.occurred_at_ms
