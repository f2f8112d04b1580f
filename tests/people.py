"""People who are known under several ids, and what is right of them: the events of all their ids are one person's."""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

import msgspec

from leadscore.events.event import Event
from leadscore.log.records import MERGE
from tests.deployment import now_ms
from tests.oracle import Entry, run

TYPES = ("website.page_view", "email.click", "email.unsubscribe", "webinar.attended", "webinar.no_show")
WEIGHTS = (50, 20, 8, 15, 7)
TWO_DAYS_MS = 2 * 86_400_000


@dataclass(frozen=True, slots=True)
class Person:
    """A cookie, an e-mail's hash and a contact; ``lead`` is the id that remains, ``events`` what came under any."""

    ids: tuple[str, ...]
    lead: str
    merges: tuple[Event, ...]
    events: tuple[Event, ...]


def people(name: str, number: int, events_each: int = 6) -> list[Person]:
    """That many people; the same name gives the same ones, but for the times of their events."""
    random, end_ms = Random(name), now_ms()
    return [_person(random, f"{name}-{index}", end_ms, events_each) for index in range(number)]


def _person(random: Random, name: str, end_ms: int, events_each: int) -> Person:
    ids = [f"cookie-{name}", f"mail-{name}", f"contact-{name}"]
    cookie, mail, contact = ids
    pairs, lead = random.choice(
        (
            ([(cookie, mail), (mail, contact)], contact),
            ([(cookie, contact), (mail, contact)], contact),
            ([(mail, contact), (cookie, mail)], contact),
            ([(cookie, mail), (mail, contact), (cookie, contact)], contact),
            ([(cookie, mail), (mail, cookie), (mail, contact)], contact),
            ([(cookie, mail), (mail, contact), (contact, cookie)], min(ids)),
        )
    )
    pairs = random.sample(pairs, len(pairs))
    pairs += random.choices(pairs, k=random.randrange(2))
    merges = tuple(
        Event(MERGE, f"merge-{name}-{index}", lead_id, end_ms - random.randrange(TWO_DAYS_MS), {"into": into})
        for index, (lead_id, into) in enumerate(pairs)
    )
    return Person(tuple(ids), lead, merges, tuple(_events(random, name, ids, end_ms, events_each)))


def _events(random: Random, name: str, ids: list[str], end_ms: int, number: int) -> Iterable[Event]:
    for index in range(number):
        event_type = random.choices(TYPES, WEIGHTS)[0]
        fields = {"path": random.choice(("/", "/blog", "/pricing"))} if event_type == "website.page_view" else {}
        occurred_ms = end_ms - random.randrange(TWO_DAYS_MS)
        yield Event(event_type, f"{name}-{index}", random.choice(ids), occurred_ms, dict(fields))


def mixed(persons: Iterable[Person], seed: str) -> list[Event]:
    """All their events and merges, in a random order."""
    records = [record for person in persons for record in (*person.merges, *person.events)]
    return Random(seed).sample(records, len(records))


def scores_of(model: dict[str, object], persons: Iterable[Person], at_ms: int) -> dict[str, float]:
    """The oracle's score of each person's lead, from the events alone: as if all had come under its id."""
    plain = {**model, "thresholds": {}}
    scores: dict[str, float] = {}
    for person in persons:  # one at a time: before each event the oracle looks at every lead that it has
        lines = run(plain, _entries(person, at_ms), at_ms).scores
        scores |= {line["lead_id"]: line["score"] for line in lines}
    return scores


def _entries(person: Person, at_ms: int) -> list[Entry]:
    return [
        Entry(
            {
                "type": event.type,
                "event_id": event.event_id,
                "lead_id": person.lead,
                "occurred_at": event.occurred_at_ms,
                **msgspec.to_builtins(event.fields),
            },
            at_ms,
        )
        for event in person.events
    ]
