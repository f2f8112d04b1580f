"""Made-up traffic: believable, in order of time, the same for the same seed."""

from collections import Counter, defaultdict
from random import Random

import pytest

from leadscore.demo.personas import PERSONAS, Lead, Stage, invent_lead, live
from leadscore.demo.traffic import GeneratedEvent, TrafficPlan, generate, topic_role_of
from leadscore.events.event import Event
from leadscore.time_units import DAY_MS, HOUR_MS

END_MS = 1_767_607_200_000  # Monday 2026-01-05, 10:00 UTC
START_MS = END_MS - 30 * DAY_MS


def plan(**changes: float) -> TrafficPlan:
    expected: dict[str, float] = {"start_ms": START_MS, "end_ms": END_MS}
    return TrafficPlan(**(expected | changes))  # type: ignore[arg-type]


def traffic(seed: int = 1, **changes: float) -> list[GeneratedEvent]:
    return list(generate(Random(seed), plan(**changes)))


def events_of(records: list[GeneratedEvent]) -> list[Event]:
    return [record.content for record in records if isinstance(record.content, Event)]


def story(persona: str, seed: int = 1) -> list[Event]:
    random = Random(seed)
    stage = Stage(random, invent_lead(random, persona), START_MS, END_MS)
    live(stage)
    return sorted(stage.events, key=lambda event: event.occurred_at_ms)


def stories(persona: str, number: int = 60) -> list[list[Event]]:
    return [story(persona, seed) for seed in range(number)]


def test_the_same_seed_gives_the_same_traffic() -> None:
    assert traffic(7, leads=40, duplicates=0.02, garbage=0.02) == traffic(7, leads=40, duplicates=0.02, garbage=0.02)


def test_another_seed_gives_other_leads() -> None:
    first = {event.lead_id for event in events_of(traffic(1, leads=20))}
    second = {event.lead_id for event in events_of(traffic(2, leads=20))}
    assert not first & second


def test_traffic_is_in_order_of_time_and_inside_its_span() -> None:
    times = [record.timestamp_ms for record in traffic(leads=100, duplicates=0.05, garbage=0.05)]
    assert times == sorted(times)
    assert times[0] >= START_MS
    assert times[-1] < END_MS


def test_event_ids_are_unique_when_no_duplicates_are_asked_for() -> None:
    ids = [event.event_id for event in events_of(traffic(leads=200))]
    assert len(ids) == len(set(ids)) > 1_000


def test_as_many_leads_live_as_were_asked_for() -> None:
    assert len({event.lead_id for event in events_of(traffic(leads=123))}) == 123


@pytest.mark.parametrize("leads", [None, 5, 400])
def test_there_are_exactly_as_many_records_as_were_asked_for(leads: int | None) -> None:
    changes = {} if leads is None else {"leads": leads}
    records = traffic(events=1_000, duplicates=0.03, garbage=0.02, **changes)
    assert len(records) == 1_000
    assert sum(isinstance(record.content, bytes) for record in records) == 20


def test_the_stated_share_of_records_are_duplicates() -> None:
    records = traffic(events=2_000, duplicates=0.05)
    times_seen = Counter(event.event_id for event in events_of(records))
    assert sum(times_seen.values()) - len(times_seen) == 100


def test_a_duplicate_is_the_same_event_and_never_comes_before_it_occurred() -> None:
    records = traffic(events=1_000, duplicates=0.2)
    seen: dict[str, Event] = {}
    for record in records:
        assert isinstance(record.content, Event)
        assert record.timestamp_ms >= record.content.occurred_at_ms
        assert seen.setdefault(record.content.event_id, record.content) == record.content
    assert len(seen) == 800


def test_every_event_goes_to_the_topic_of_its_type() -> None:
    roles = {record.topic_role for record in traffic(events=20_000)}
    assert roles == {"website", "email", "webinar", "profiles", "commands"}
    assert topic_role_of("email.click") == "email"
    assert topic_role_of("profile.updated") == "profiles"
    assert topic_role_of("command.adjust") == "commands"
    assert topic_role_of("meeting.booked") == "website"


def test_lead_ids_are_opaque() -> None:
    for event in events_of(traffic(leads=20)):
        assert len(event.lead_id) == 36
        assert "@" not in event.lead_id


def test_a_small_list_of_leads_has_every_persona() -> None:
    events = events_of(traffic(leads=20))
    paths = {str(event.fields.get("path")) for event in events}
    assert any(path.startswith("/pricing") for path in paths)
    assert any(path.startswith("/careers") for path in paths)
    assert {"email.click", "email.open", "website.form_submitted"} <= {event.type for event in events}


@pytest.mark.parametrize("persona", PERSONAS)
def test_every_story_has_events(persona: str) -> None:
    assert all(stories(persona))


def test_buyers_who_look_at_prices_took_the_whitepaper_before() -> None:
    looked = 0
    for events in stories("buyer"):
        taken_ms = [event.occurred_at_ms for event in events if event.fields.get("form") == "whitepaper"]
        prices = [event for event in events if str(event.fields.get("path")).startswith("/pricing")]
        assert all(event.occurred_at_ms > taken_ms[0] for event in prices)
        looked += bool(prices)
    assert 10 <= looked <= 50


def test_a_buyer_loses_interest_anywhere_between_the_first_visit_and_the_decision() -> None:
    lengths = sorted(len(events) for events in stories("buyer"))
    assert lengths[0] <= 5
    assert lengths[-1] >= 25


def test_some_buyers_ask_for_contact_and_some_cancel_a_meeting_or_unsubscribe() -> None:
    types = Counter(event.type for events in stories("buyer", 300) for event in events)
    assert types["website.contact_requested"] > types["meeting.cancelled"] > 0
    assert types["email.unsubscribe"] > 0
    assert types["webinar.attended"] > types["webinar.no_show"] > 0


def test_a_newsletter_reader_opens_and_clicks_and_never_looks_at_prices() -> None:
    types = Counter(event.type for events in stories("newsletter reader") for event in events)
    assert types["email.sent"] > types["email.open"] > types["email.click"] > 0
    assert types["website.form_submitted"] == types["webinar.registered"] == 0


def test_a_job_seeker_sees_four_career_pages_on_one_day() -> None:
    for events in stories("job seeker"):
        careers = [event for event in events if str(event.fields.get("path")).startswith("/careers")]
        per_day = Counter(event.occurred_at_ms // DAY_MS for event in careers)
        assert max(per_day.values()) >= 4


def test_a_bot_clicks_at_least_six_times_within_a_second_of_every_mail() -> None:
    for events in stories("bot"):
        clicks = defaultdict(list)
        for event in events:
            if event.type == "email.click":
                clicks[event.fields["asset"]].append(event.occurred_at_ms)
        assert clicks
        assert all(len(times) >= 6 and max(times) - min(times) < 1_000 for times in clicks.values())


def test_a_dormant_lead_is_silent_in_the_second_half() -> None:
    half_ms = (START_MS + END_MS) // 2
    assert all(event.occurred_at_ms < half_ms for events in stories("dormant") for event in events)


def test_most_page_views_are_on_working_days() -> None:
    views = [event for event in events_of(traffic(leads=200)) if event.type == "website.page_view"]
    weekend = [event for event in views if (event.occurred_at_ms // DAY_MS + 3) % 7 >= 5]
    assert len(weekend) < 0.1 * len(views)


def test_office_hours_are_those_of_the_lead() -> None:
    lead = Lead("L1", "buyer", -5, {})
    stage = Stage(Random(1), lead, START_MS, END_MS)
    hours = [stage.office_hour(day) % DAY_MS / HOUR_MS for day in range(28)]
    assert min(hours) >= 13
    assert max(hours) <= 23.5


def test_profiles_carry_the_attributes_that_models_use_and_are_patchy() -> None:
    profiles = [
        set(event.attributes or ()) for event in events_of(traffic(leads=200)) if event.type == "profile.updated"
    ]
    expected = {"role", "company_size", "country", "city", "age", "buying_authority", "email_domain_type"}
    assert set.union(*profiles) == expected
    assert set.intersection(*profiles) == {"role", "country", "email_domain_type"}


def test_a_short_span_still_has_buyers_who_ask_for_contact() -> None:
    friday_ms = END_MS - 3 * DAY_MS
    events = events_of(traffic(leads=200, start_ms=friday_ms - 5 * DAY_MS, end_ms=friday_ms))
    assert Counter(event.type for event in events)["website.contact_requested"] >= 5


@pytest.mark.parametrize("wrong", [plan(leads=5, start_ms=END_MS - 1), plan(), plan(leads=0)])
def test_a_plan_that_cannot_be_met_is_an_error(wrong: TrafficPlan) -> None:
    with pytest.raises(ValueError, match="a plan needs"):
        generate(Random(1), wrong)


# --- the whole cycle ------------------------------------------------------------------------------------------------


def of_type(events: list[Event], *types: str) -> list[Event]:
    return [event for event in events if event.type in types]


def test_without_the_whole_cycle_no_one_becomes_known_and_sales_says_nothing() -> None:
    types = {event.type for event in events_of(traffic(leads=200))}
    assert not {event_type for event_type in types if event_type.startswith(("crm.", "deal.", "command.merge"))}


def test_a_visitor_becomes_known_after_all_that_it_did_under_the_id_of_its_cookie() -> None:
    events = events_of(traffic(leads=200, whole_cycle=True))
    merges = of_type(events, "command.merge")
    assert len(merges) > 20
    for merge in merges:
        under_cookie = [event for event in events if event.lead_id == merge.lead_id and event is not merge]
        assert under_cookie
        assert all(event.type.startswith("website.") for event in under_cookie)
        assert all(event.occurred_at_ms < merge.occurred_at_ms for event in under_cookie)
        assert any(event.lead_id == merge.fields["into"] for event in events)


def test_sales_answers_those_that_asked_for_it() -> None:
    events = events_of(traffic(leads=400, whole_cycle=True))
    asked = {event.lead_id for event in of_type(events, "website.contact_requested", "meeting.booked")}
    said = of_type(events, "crm.accepted", "crm.rejected", "deal.won", "deal.lost")
    assert {event.type for event in said} == {"crm.accepted", "crm.rejected", "deal.won", "deal.lost"}
    assert {event.lead_id for event in said} <= asked
    assert all(event.fields["reason"] for event in of_type(said, "crm.rejected"))


def test_customers_grow_or_have_trouble() -> None:
    events = events_of(traffic(leads=200, whole_cycle=True))
    customers = {event.lead_id for event in events if (event.attributes or {}).get("customer") is True}
    assert len(customers) == 200 // 21
    assert {event.lead_id for event in of_type(events, "service.ticket_opened")} <= customers
    assert {"service.rated", "app.activity"} <= {event.type for event in events if event.lead_id in customers}
