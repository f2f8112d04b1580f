"""What leads did while the old version ran: models and events that mean the same to both versions.

Nothing of leadscore is imported here: the old version's script reads this module too. Every event has an id and an
instant of its own: an id meant one event of whatever type, and of equal instants another hash decided.
"""

from random import Random
from typing import Any

Plain = dict[str, Any]

START_MS = 1_767_225_600_000  # 2026-01-01, a Thursday, at midnight
DAY_MS = 86_400_000
OLD_DAYS = 60
LEADS = ("L1", "L2", "L3")
TYPES = ("visit", "visit", "visit", "download", "click", "click", "unsubscribe", "demo", "complaint", "webinar")
ASSETS = ("wp-1", "wp-2", 7, True, None)

RULES: Plain = {
    "view": {"event": "visit", "points": 10, "group": "web", "limit": {"times": 2, "per": "day"}},
    "pricing": {"event": "visit", "where": {"path": "/pricing"}, "points": 12.5, "group": "web"},
    "first": {"event": "visit", "points": 4, "decay": "none", "limit": {"times": 1, "per": "forever"}},
    "paper": {
        "event": "download",
        "points": 15,
        "once_per": "asset",
        "decay": {"steps": {"7d": 1.0, "14d": 0.75, "30d": 0.5}},
    },
    "click": {"event": "click", "points": 6, "group": "mail", "exclude_burst": {"at_least": 3, "within": "2s"}},
    "unsubscribed": {"event": "unsubscribe", "points": -25, "group": "mail", "decay": "none"},
    "demo": {"event": "demo", "points": 30, "qualifies": "mql"},
    "complained": {"event": "complaint", "points": 0, "disqualifies": "complained"},
    "webinar": {
        "event": "webinar",
        "points": 15,
        "decay": {"linear": "30d"},
        "limit": {"times": 1, "per": "week"},
    },
}
CONDITIONS: Plain = {
    "silent": {"when": {"quiet": {"rules": ["click"], "within": "10d"}}, "points": -10, "group": "mail"},
    "researching": {"when": {"count": {"rules": ["view"], "at_least": 3, "within": "7d"}}, "points": 10},
    "student": {
        "when": {
            "all": [
                {"attribute": {"name": "role", "in": ["student"]}},
                {"not": {"count": {"rules": ["click"], "at_least": 1, "within": "20d"}}},
            ]
        },
        "disqualifies": "a student, and silent",
    },
}
FIT: Plain = {
    "min": -30,
    "max": 40,
    "attributes": {
        "role": [{"in": ["ceo", "cto"], "points": 15}, {"matches": "(?i)^head of", "points": 10}],
        "size": [{"at_least": 1000, "points": 20}, {"at_least": 200, "points": 10}, {"exists": False, "points": -2}],
    },
    "grades": {"A": 30, "B": 20, "C": 10, "D": 0},
}
WHOLE: Plain = {
    "model": "whole",
    "version": 1,
    "decay": {"half_life": "20d"},
    "groups": {"web": {"max": 40, "decay": {"half_life": "14d"}}, "mail": {"min": -20, "max": 30}},
    "rules": RULES,
    "conditions": CONDITIONS,
    "fit": FIT,
    "thresholds": {
        "mql": {"enter": 45, "exit": 30, "cooldown": "5d", "hold": "7d"},
        "hot": {"enter": 70, "exit": 50, "require": {"grade": "D", "engagement": 20}},
    },
}
PLAIN: Plain = {
    "model": "plain",
    "version": 1,
    "decay": {"half_life": "9d"},
    "rules": {name: RULES[name] | {"group": None} for name in ("pricing", "demo", "webinar", "unsubscribed")}
    | {"click": {"event": "click", "points": 8, "max": 30}},
    "thresholds": {"mql": {"enter": 25, "exit": 15, "hold": "3d"}},
}
"""Hardly a rule of it chooses among events."""
for _rule in PLAIN["rules"].values():
    _rule.pop("group", None)


def events(seed: int, number: int, *, first_day: int = 0, days: int = OLD_DAYS, prefix: str = "old") -> list[Plain]:
    """Events and commands in the order of their times, in the JSON form of design 1.11."""
    random = Random(f"{prefix}{seed}")
    instants = sorted(random.sample(range(days * DAY_MS // 500), number))
    made: list[Plain] = []
    for place, half_second in enumerate(instants):
        event: Plain = {"lead_id": random.choice(LEADS[: 1 + seed % 3]), "event_id": f"{prefix}-{seed}-{place}"}
        event["occurred_at"] = START_MS + first_day * DAY_MS + half_second * 500
        made.append(event | _act(random, [one["event_id"] for one in made]))
        if made[-1]["type"] == "click" and random.random() < 0.3:  # a machine's
            made += [
                made[-1] | {"event_id": f"{prefix}-{seed}-{place}-{more}", "occurred_at": event["occurred_at"] + more}
                for more in range(1, random.randrange(2, 4))
            ]
    return made


def _act(random: Random, earlier: list[str]) -> Plain:
    kind = random.random()
    if kind < 0.12:
        return {"type": "profile.updated", "attributes": _attributes(random)}
    if kind < 0.24:
        return _command(random, earlier)
    event: Plain = {"type": random.choice(TYPES)}
    if event["type"] == "visit":
        event["path"] = random.choice(("/pricing", "/blog"))
    if event["type"] == "download":
        event["asset"] = random.choice(ASSETS)
    if random.random() < 0.1:
        event["attributes"] = _attributes(random)
    return event


def _attributes(random: Random) -> Plain:
    role, size = random.choice(("ceo", "student", "Head of IT", None)), random.choice((50, 250, 5000, None))
    return random.choice(({"role": role}, {"size": size}, {"role": role, "size": size}))


def _command(random: Random, earlier: list[str]) -> Plain:
    order = random.choice(("adjust", "retract", "retract", "suspend", "resume", "requalify", "reset", "erase"))
    command: Plain = {"type": f"command.{order}"}
    if order == "adjust":
        command["points"] = random.choice((5, 12.5, -8))
    if order == "retract":
        command["target"] = random.choice([*earlier, "never-came"])
    return command


class Life:
    """One history of the fixture: under which model, how many events, how many of them recent."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.model = PLAIN if seed % 4 == 3 else WHOLE
        self.recent_events = 6 if seed % 3 == 2 else 64
        self.events = events(seed, 12 + 3 * (seed % 5))
        if self.recent_events < 64 and seed % 2:
            self.events[1]["type"] = "complaint"  # soon not among the recent ones
        self.log_times_ms = self._log_times_ms()

    def _log_times_ms(self) -> list[int]:
        """Of lives with few recent events no event is late; of others some are."""
        random, latest_ms, times = Random(self.seed), 0, []
        if self.recent_events == 64 and self.seed % 2:
            random.shuffle(self.events)
        for event in self.events:
            latest_ms = max(latest_ms, event["occurred_at"])
            times.append(latest_ms)
        return times


LIVES = 24
END_MS = START_MS + OLD_DAYS * DAY_MS
READ_DAYS = (0, 7.5, 40)
"""Days after the end at which the old version says what the scores are."""
