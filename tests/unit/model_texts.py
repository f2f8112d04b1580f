"""Model texts for tests: the page about them, the design's example, a minimal model, and the problems a text has."""

import json
from pathlib import Path

from leadscore.errors import ModelError
from leadscore.model.load import parse_model
from leadscore.yaml_reading.document import read as read_yaml

PAGE = (Path(__file__).parents[2] / "docs" / "model.md").read_text(encoding="utf-8")

MINIMAL: dict[str, object] = {
    "model": "minimal",
    "version": 1,
    "groups": {"website": {"max": 40}},
    "rules": {
        "pricing_page": {"event": "website.page_view", "points": 10, "group": "website"},
        "mail_click": {"event": "email.click", "points": 3},
    },
    "fit": {"attributes": {"role": [{"in": ["ceo"], "points": 15}]}},
    "thresholds": {"mql": {"enter": 65, "exit": 50}},
}

EVERYTHING = r"""
model: b2b-starter
version: 3
score: {floor: 0, ceiling: 100}
bands: {cold: 0, warm: 30, hot: 70}
decay: {half_life: 30d}
forget_after: 365d
groups:
  website: {max: 40, decay: {half_life: 14d}}
  email: {min: -20, max: 30}
  product: {max: 40, in_main: false}
  direct: {max: 60}
rules:
  pricing_page:
    event: website.page_view
    where: {path: {matches: "^/pricing"}}
    points: 10
    group: website
    limit: {times: 1, per: day}
  whitepaper:
    event: website.form_submitted
    where: {form: whitepaper, country: {in: [DE, FR]}, pages: {at_least: 2}}
    points: 15
    once_per: asset
    decay: {steps: {7d: 1.0, 14d: 0.75, 30d: 0.5}}
  contact_me_now: {event: website.contact_requested, points: 50, qualifies: mql}
  mail_click: {event: email.click, points: 3, group: email, max: 15, exclude_burst: {at_least: 5, within: 2s}}
  unsubscribed: {event: email.unsubscribe, points: -25, group: email, decay: none}
  asked_to_stop: {event: email.complaint, points: 0, disqualifies: "complained"}
  webinar_minutes:
    event: [webinar.attended, webinar.watched_on_demand]
    points: {field: minutes, times: 0.5, max: 20}
    active: {from: 2026-01-01}
    limit: {times: 4, per: month}
  sales_rejected: {event: crm.rejected, points: 0, recycles: {threshold: mql, for: 90d}, outcome: rejected}
  plan_page: {event: website.page_view, where: {path: {matches: "^/account/plan"}}, points: 10, group: product}
conditions:
  went_quiet: {when: {quiet: {rules: [mail_click], within: 30d}}, points: -10, group: email}
  researching: {when: {count: {rules: [pricing_page], at_least: 3, within: 7d}}, points: 10}
  student:
    when:
      all:
        - attribute: {name: role, in: [student, unemployed]}
        - not: {count: {rules: [mail_click], at_least: 1, within: 60d}}
    disqualifies: "student or unemployed, and silent"
  reachable: {when: {attribute: {name: has_address, in: [true]}}}
fit:
  min: -30
  max: 40
  attributes:
    company_size: [{at_least: 1000, points: 20}, {at_least: 200, points: 10}]
    role: [{in: [ceo, cto], points: 15}, {matches: "(?i)^head of", points: 10}]
  grades: {A: 30, B: 20, C: 10, D: 0}
scores:
  expansion: {groups: [product, direct], fit: false, floor: 0, ceiling: 100}
thresholds:
  mql: {enter: 65, exit: 50, cooldown: 14d, hold: 14d, require: {grade: C, conditions: [reachable]}}
  hot: {enter: 90, exit: 70}
  upsell: {of: expansion, enter: 40, exit: 20}
"""


def merged(base: object, changes: object) -> object:
    """The base with the changes in it, mapping by mapping."""
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return changes
    return base | {key: merged(base.get(key), value) for key, value in changes.items()}


def minimal_with(fragment: str) -> str:
    """The minimal model with a YAML fragment merged into it; JSON is YAML."""
    document = read_yaml(fragment)
    assert document.problems == []
    return json.dumps(merged(MINIMAL, document.value), indent=1)


def problems_of(text: str) -> list[str]:
    """What ``parse_model`` says about a wrong text, without the file's name and the line."""
    return [line.split(":", 2)[2].strip() for line in lines_of(text)]


def lines_of(text: str) -> list[str]:
    """The lines of the ``ModelError``; empty if the text is right."""
    try:
        parse_model(text, "model.yaml")
    except ModelError as error:
        return str(error).splitlines()
    return []
