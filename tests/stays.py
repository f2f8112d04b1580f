"""Histories of leads that stay in a threshold for long: half-lives, days, penalties, and events that come late."""

from random import Random

from leadscore.scoring.simulation import Simulation
from tests.oracle import DAY_MS, Entry, Plain
from tests.simulated import simulated

START_MS = 1_767_225_600_000
GROUPS: Plain = {"web": {"max": 40}, "mail": {"max": 30, "min": -20}, "talk": {"max": 50}}
THRESHOLDS: Plain = {
    "warm": {"enter": 25, "exit": 15},
    "mql": {"enter": 50, "exit": 35},
    "chat": {"of": "talks", "enter": 12, "exit": 6},
}
RULES: Plain = {
    "view": {"event": "t.view", "points": 4, "group": "web"},
    "price": {"event": "t.price", "points": 15, "group": "web", "decay": {"half_life": "14d"}},
    "open": {"event": "t.open", "points": 5, "group": "mail", "max": 12},
    "gone": {"event": "t.gone", "points": -30, "group": "mail", "decay": {"half_life": "60d"}},
    "bored": {"event": "t.bored", "points": -8, "group": "talk", "decay": {"linear": "20d"}},
    "talk": {"event": "t.talk", "points": 4, "group": "talk", "decay": {"steps": {"7d": 1, "30d": 0.5}}},
    "partner": {"event": "t.partner", "points": 10, "decay": "none"},
}


def run(rules: Plain, conditions: Plain, random: Random) -> Simulation:
    """Twenty leads, each with many events, a third of them late; all look to the end of the next quarter."""
    model: Plain = {
        "model": "stay",
        "version": 1,
        "decay": {"half_life": "30d"},
        "groups": GROUPS,
        "rules": rules,
        "conditions": conditions,
        "scores": {"talks": {"groups": ["talk", "mail"], "floor": -50}},
        "thresholds": THRESHOLDS,
    }
    log = []
    for index in range(800):
        log_ms = START_MS + index * DAY_MS // 10
        late_ms = random.randrange(20 * DAY_MS) if random.random() < 0.33 else 0
        event = {
            "type": random.choice(list(rules.values()))["event"],
            "event_id": f"e{index}",
            "lead_id": f"L{random.randrange(20)}",
            "occurred_at": log_ms - late_ms,
        }
        log.append(Entry(event, log_ms))
    return simulated(model, log, START_MS + 170 * DAY_MS)
