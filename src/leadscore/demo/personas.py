"""Who the leads of made-up traffic are, and the stories they live: buyers, readers, job seekers, bots, the dormant.

A story is what one lead does in a span of time. Lead ids are opaque; no name or address exists anywhere. All chance
comes from the ``Random`` that is passed in.
"""

from collections.abc import Callable
from random import Random
from uuid import UUID

import msgspec

from leadscore.events.event import Event, FieldValue
from leadscore.time_units import DAY_MS, HOUR_MS, SECOND_MS

CAMPAIGNS = ("spring-launch", "search-ads", "partner-webinar")
TOPICS = ("security", "data-quality", "onboarding", "reporting")

_OFFICES = (("DE", "Berlin", 1), ("FR", "Lyon", 1), ("GB", "Leeds", 0), ("US", "Boston", -5), ("NL", "Utrecht", 1))
_BUYER_ROLES = ("ceo", "cto", "vp marketing", "head of sales", "marketing manager", "engineer")
_READER_ROLES = ("marketing manager", "engineer", "consultant", "analyst")
_SEEKER_ROLES = ("student", "unemployed", "engineer", "analyst")
_AUTHORITIES = ("decision_maker", "influencer", "none", "none")
_KNOWN_SHARE = {"company_size": 0.8, "city": 0.3, "age": 0.2, "buying_authority": 0.5}
_USUAL_STORY_DAYS = 20


class Lead(msgspec.Struct, frozen=True):
    """A made-up lead: where its office clock stands (hours from UTC), what it lives, what its profile says."""

    lead_id: str
    persona: str
    utc_offset_h: int
    profile: dict[str, FieldValue]


class Stage:
    """Where the story of one lead is played: collects the events that fall into [``start_ms``, ``end_ms``)."""

    def __init__(self, random: Random, lead: Lead, start_ms: int, end_ms: int) -> None:
        self.random = random
        self.lead = lead
        self.start_ms = start_ms
        self.end_ms = end_ms
        self.events: list[Event] = []

    @property
    def days(self) -> float:
        """The length of the span."""
        return (self.end_ms - self.start_ms) / DAY_MS

    @property
    def pace(self) -> float:
        """1, or less where the span is too short for a story at its usual speed."""
        return min(1.0, self.days / _USUAL_STORY_DAYS)

    def chance(self, probability: float) -> bool:
        """True that often."""
        return self.random.random() < probability

    def happen(self, at_ms: int, event_type: str, **fields: FieldValue) -> None:
        """The lead does this; fields that are ``None`` are left out."""
        present: dict[str, FieldValue] = {name: value for name, value in fields.items() if value is not None}
        self._add(at_ms, event_type, present, None)

    def tell_profile(self, at_ms: int, **more: FieldValue) -> None:
        """A form or an enrichment service tells who the lead is; the CRM may know ``more``."""
        self._add(at_ms, "profile.updated", {}, {**self.lead.profile, **more})

    def office_hour(self, day: float) -> int:
        """An instant near that day of the span: in the lead's office hours, seldom on a weekend."""
        around_ms = self.start_ms + int(day * DAY_MS)
        midnight_ms = around_ms - around_ms % DAY_MS
        weekday = (midnight_ms // DAY_MS + 3) % 7  # 1970-01-01 was a Thursday
        if weekday >= 5 and self.chance(0.9):
            midnight_ms += (7 - weekday) * DAY_MS
        hour = min(18.5, max(8.0, self.random.gauss(13, 2.5)))
        at_ms = midnight_ms + int((hour - self.lead.utc_offset_h) * HOUR_MS)
        return at_ms if at_ms >= self.start_ms else at_ms + DAY_MS

    def visit(self, at_ms: int, paths: tuple[str, ...], campaign: str | None = None) -> int:
        """A session: one page after the other; the instant after the last one."""
        for path in paths:
            self.happen(at_ms, "website.page_view", path=path, campaign=campaign)
            at_ms += self.random.randint(15 * SECOND_MS, 150 * SECOND_MS)
        return at_ms

    def receive_mail(self, at_ms: int, mail: str, campaign: str | None = None) -> int:
        """A mail is sent and delivered; the instant of the delivery."""
        delivered_ms = at_ms + self.random.randint(1, 20) * SECOND_MS
        self.happen(at_ms, "email.sent", asset=mail, campaign=campaign)
        self.happen(delivered_ms, "email.delivered", asset=mail, campaign=campaign)
        return delivered_ms

    def read_mail(self, at_ms: int, mail: str, clicks: float, campaign: str | None = None) -> None:
        """The lead gets a mail and opens it, and clicks with that probability."""
        opened_ms = self.receive_mail(at_ms, mail, campaign) + int(self.random.expovariate(1 / (2 * HOUR_MS)))
        self.happen(opened_ms, "email.open", asset=mail, campaign=campaign)
        if self.chance(clicks):
            clicked_ms = opened_ms + self.random.randint(5, 90) * SECOND_MS
            self.happen(clicked_ms, "email.click", asset=mail, campaign=campaign)
            self.visit(clicked_ms + SECOND_MS, (f"/blog/{self.random.choice(TOPICS)}",), campaign)

    def _add(
        self, at_ms: int, event_type: str, fields: dict[str, FieldValue], attributes: dict[str, FieldValue] | None
    ) -> None:
        if self.start_ms <= at_ms < self.end_ms:
            event_id = random_id(self.random)
            self.events.append(Event(event_type, event_id, self.lead.lead_id, at_ms, fields, attributes))


def random_id(random: Random) -> str:
    """An opaque id in the form of a UUID, out of that source of chance."""
    return str(UUID(int=random.getrandbits(128), version=4))


def invent_lead(random: Random, persona: str) -> Lead:
    """A lead of that persona; the profile is as patchy as real ones are."""
    country, city, utc_offset_h = random.choice(_OFFICES)
    private = random.random() < {"job seeker": 0.8, "newsletter reader": 0.3}.get(persona, 0.1)
    everything: dict[str, FieldValue] = {
        "role": random.choice(_ROLES.get(persona, _READER_ROLES)),
        "company_size": 1 if persona == "job seeker" else int(random.lognormvariate(4, 1.7)) + 1,
        "country": country,
        "city": city,
        "age": random.randint(20, 30) if persona == "job seeker" else random.randint(25, 62),
        "buying_authority": random.choice(_AUTHORITIES) if persona == "buyer" else "none",
        "email_domain_type": "personal" if private else "business",
    }
    told = {name: value for name, value in everything.items() if random.random() < _KNOWN_SHARE.get(name, 1)}
    return Lead(random_id(random), persona, utc_offset_h, told)


def live(stage: Stage) -> None:
    """Play the story of the stage's lead."""
    _STORIES[stage.lead.persona](stage)


def _buyer(stage: Stage) -> None:
    """A funnel: after every step some have lost interest."""
    random = stage.random
    campaign = random.choice((*CAMPAIGNS, None))
    topic = random.choice(TOPICS)
    day = random.uniform(0, 0.7 * stage.days)
    steps: tuple[Callable[[Stage, float, str, str | None], None], ...] = (
        _discover,
        _take_whitepaper,
        _follow_mails,
        _join_webinar,
        _compare_prices,
        _decide,
    )
    for step in steps:
        step(stage, day, topic, campaign)
        day += random.uniform(1, 4) * stage.pace
        if stage.chance(0.2):
            return


def _discover(stage: Stage, day: float, topic: str, campaign: str | None) -> None:
    for _ in range(stage.random.randint(0, 2)):
        stage.visit(stage.office_hour(day), (f"/blog/{stage.random.choice(TOPICS)}",), campaign)
    left_ms = stage.visit(stage.office_hour(day), ("/", f"/blog/{topic}", "/product"), campaign)
    if stage.chance(0.3):
        stage.happen(left_ms, "social.engaged", asset=f"post-{topic}", campaign=campaign)
    if stage.chance(0.08):
        _ask_for_contact(stage, left_ms, campaign)


def _take_whitepaper(stage: Stage, day: float, topic: str, campaign: str | None) -> None:
    asset = f"whitepaper-{topic}"
    at_ms = stage.visit(stage.office_hour(day), ("/product", f"/resources/{topic}"), campaign)
    pages = stage.random.randint(2, 6)
    stage.happen(at_ms, "website.form_submitted", form="whitepaper", asset=asset, pages=pages, campaign=campaign)
    stage.tell_profile(at_ms + 2 * SECOND_MS)
    stage.happen(at_ms + 20 * SECOND_MS, "website.download", asset=asset, campaign=campaign)


def _follow_mails(stage: Stage, day: float, topic: str, campaign: str | None) -> None:
    for number in range(stage.random.randint(1, 3)):
        stage.read_mail(stage.office_hour(day + number * stage.pace), f"{topic}-{number + 1}", 0.5, campaign)


def _join_webinar(stage: Stage, day: float, topic: str, campaign: str | None) -> None:
    if stage.chance(0.4):
        return
    webinar = f"webinar-{topic}"
    stage.happen(stage.office_hour(day), "webinar.registered", asset=webinar, campaign=campaign)
    came = stage.random.choices(("attended", "watched_on_demand", "no_show"), (5, 2, 3))[0]
    stage.happen(stage.office_hour(day + 2 * stage.pace), f"webinar.{came}", asset=webinar, campaign=campaign)


def _compare_prices(stage: Stage, day: float, topic: str, campaign: str | None) -> None:
    pages = ("/pricing/compare", "/customers", f"/docs/{topic}", "/onboarding")
    for number in range(stage.random.randint(1, 3)):
        paths = ("/pricing", *stage.random.sample(pages, stage.random.randint(0, 3)))
        left_ms = stage.visit(stage.office_hour(day + number * stage.pace), paths, campaign)
        if stage.chance(0.1):
            stage.happen(left_ms, "website.chat_started", path=paths[-1], campaign=campaign)


def _decide(stage: Stage, day: float, topic: str, campaign: str | None) -> None:
    at_ms = stage.office_hour(day)
    if stage.chance(0.25):
        stage.happen(at_ms, "app.trial_started", campaign=campaign)
    if stage.chance(0.5):
        _ask_for_contact(stage, at_ms, campaign)
    if stage.chance(0.4):
        _meet(stage, day)
    if stage.chance(0.1):
        stage.happen(stage.office_hour(day + 1), "email.reply", asset=f"{topic}-1", campaign=campaign)
    if stage.chance(0.1):
        stage.happen(stage.office_hour(day + 1), "command.adjust", points=10, reason="met at the fair")
    if stage.chance(0.1):
        stage.happen(stage.office_hour(day + 3), "email.unsubscribe", asset=f"{topic}-1", campaign=campaign)


def _ask_for_contact(stage: Stage, at_ms: int, campaign: str | None) -> None:
    left_ms = stage.visit(at_ms, ("/contact",), campaign)
    stage.happen(left_ms, "website.contact_requested", path="/contact", campaign=campaign)


def _meet(stage: Stage, day: float) -> None:
    booked_ms = stage.office_hour(day)
    stage.happen(booked_ms, "meeting.booked")
    if stage.chance(0.35):
        stage.happen(booked_ms + stage.random.randint(2, 30) * HOUR_MS, "meeting.cancelled")


def _newsletter_reader(stage: Stage) -> None:
    if stage.chance(0.6):
        stage.tell_profile(stage.office_hour(0))
    for number, day in enumerate(_weekly(stage)):
        mail = f"newsletter-{number + 1}"
        if stage.chance(0.75):
            stage.read_mail(stage.office_hour(day), mail, 0.2)
        else:
            stage.receive_mail(stage.office_hour(day), mail)
        if stage.chance(0.03):
            parting = "email.complaint" if stage.chance(0.2) else "email.unsubscribe"
            stage.happen(stage.office_hour(day + 1), parting, asset=mail)
            return


def _job_seeker(stage: Stage) -> None:
    day = stage.random.uniform(0, 0.9 * stage.days)
    stage.tell_profile(stage.office_hour(day))
    for _ in range(stage.random.randint(1, 3)):
        jobs = tuple(f"/careers/job-{stage.random.randint(1, 40)}" for _ in range(stage.random.randint(3, 6)))
        stage.visit(stage.office_hour(day), ("/careers", *jobs))
        day += stage.random.uniform(1, 3) * stage.pace


def _bot(stage: Stage) -> None:
    """A security scanner in front of a mailbox: it follows every link of a mail within a second."""
    for number, day in enumerate(_weekly(stage)):
        mail = f"newsletter-{number + 1}"
        scanned_ms = stage.receive_mail(stage.office_hour(day), mail) + stage.random.randint(1, 5) * SECOND_MS
        for _ in range(stage.random.randint(6, 12)):
            stage.happen(scanned_ms + stage.random.randrange(SECOND_MS), "email.click", asset=mail)


def _dormant(stage: Stage) -> None:
    day = stage.random.uniform(0, 0.15 * stage.days)
    if stage.chance(0.5):
        stage.tell_profile(stage.office_hour(day))
    stage.visit(stage.office_hour(day), ("/", "/product"))
    if stage.chance(0.5):
        stage.read_mail(stage.office_hour(day + 1), "newsletter-1", 0.3)


def _weekly(stage: Stage) -> list[float]:
    """The days on which the newsletter goes out."""
    first = stage.random.uniform(0, min(3.0, stage.days))
    return [first + 7 * week for week in range(int((stage.days - first) // 7) + 1)]


_ROLES = {"buyer": _BUYER_ROLES, "job seeker": _SEEKER_ROLES}

_STORIES: dict[str, Callable[[Stage], None]] = {
    "buyer": _buyer,
    "newsletter reader": _newsletter_reader,
    "job seeker": _job_seeker,
    "bot": _bot,
    "dormant": _dormant,
}

PERSONAS = tuple(_STORIES)
