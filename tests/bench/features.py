"""``make bench-features``: what each feature of a model costs per event, in the fold alone; no servers, no clients.

First a plain model and the same with one feature more, then the starter model and the same with one feature less. Timed
is what ``Shard.fold`` does with frames as the match stage would log them; a figure is the least of several repeats.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec

from leadscore.demo.traffic import TrafficPlan, generate
from leadscore.events.event import Event
from leadscore.log.records import Award, Frame, Source
from leadscore.model.compile import compile_model
from leadscore.model.definition import Condition, Decay, Fit, ModelDefinition, Rule, Threshold
from leadscore.model.load import load_model
from leadscore.model.matching import Matcher
from leadscore.pipeline.score.shard import Shard
from leadscore.scoring.context import FoldSettings
from leadscore.scoring.state import encode_state
from leadscore.store.fence import Fence
from leadscore.time_units import DAY_MS
from tests.bench.clock import Spent, machine_facts, print_facts, print_table
from tests.bench.workload import MODEL, Span, events, lead_id_of, model_definition

STARTER = Path(__file__).resolve().parents[2] / "deploy" / "model.yaml"
FRAME_AWARDS = 60
"""What 2,000 events of a batch leave for each of 32 log partitions."""
NOW_MS = 1_767_225_600_000
SPAN = Span(NOW_MS - 14 * DAY_MS, NOW_MS)
PROFILE_EVERY = 25
ROLES = ("ceo", "head of marketing", "engineer", "student", None)

Change = Callable[[ModelDefinition], ModelDefinition]


class Cost(NamedTuple):
    """Of one model: awards folded, us per award, bytes of a state, crossings per 1,000 awards."""

    awards: int
    fold_us: float
    state_bytes: float
    crossings: float


def with_parts(**parts: Any) -> Change:
    """The base model with these top-level keys as in a model file, added to what is there."""

    def change(definition: ModelDefinition) -> ModelDefinition:
        merged = {**MODEL, **{name: {**MODEL.get(name, {}), **part} for name, part in parts.items()}}
        return msgspec.convert(merged, type(definition))

    return change


def with_rules(**changes: Mapping[str, Any]) -> Change:
    """The base model with further keys in the rules named."""
    rules: Mapping[str, Mapping[str, Any]] = MODEL["rules"]
    return with_parts(rules={name: {**rules[name], **more} for name, more in changes.items()})


def with_decay(decay: Mapping[str, Any]) -> Change:
    """The base model, every rule with this decay."""
    return with_rules(**{name: {"decay": decay} for name in MODEL["rules"]})


ROLE_BANDS = [{"in": ["ceo", "cto"], "points": 5}, {"matches": "(?i)^head of", "points": 3}]
FIT = {
    "max": 20,
    "attributes": {"role": ROLE_BANDS, "size": [{"at_least": 200, "points": 5}]},
    "grades": {"A": 5, "D": 0},
}
COUNT = {"count": {"rules": ["pricing"], "at_least": 3, "within": "7d"}}
QUIET = {"quiet": {"rules": ["open", "click"], "within": "5d"}}
STUDENT = {"attribute": {"name": "role", "in": ["student"]}}
BURST = {"exclude_burst": {"at_least": 5, "within": "2s"}}
MORE: Mapping[str, Change] = {
    "limit, one rule": with_rules(page={"limit": {"times": 5, "per": "day"}}),
    "once_per, one rule": with_rules(open={"once_per": "asset"}),
    "exclude_burst, one rule": with_rules(click=BURST),
    "max, one rule": with_rules(page={"max": 10}),
    "linear decay, all rules": with_decay({"linear": "60d"}),
    "steps decay, all rules": with_decay({"steps": {"7d": 1.0, "14d": 0.75, "30d": 0.5}}),
    "condition: count": with_parts(conditions={"researching": {"when": COUNT, "points": 5}}),
    "condition: quiet": with_parts(conditions={"went_quiet": {"when": QUIET, "points": -5}}),
    "condition: attribute": with_parts(conditions={"student": {"when": STUDENT, "points": -5}}),
    "condition that disqualifies": with_parts(conditions={"student": {"when": STUDENT, "disqualifies": "student"}}),
    "fit with grades": with_parts(fit=FIT),
    "four thresholds": with_parts(
        thresholds={"warm": {"enter": 20, "exit": 12}, "blazing": {"enter": 80, "exit": 70}},
    ),
    "qualifies at once, one rule": with_rules(whitepaper={"qualifies": "mql"}),
    "disqualifies, one rule": with_rules(unsubscribed={"disqualifies": "unsubscribed"}),
}
"""The base model and one feature more."""


def without_keys(*keys: str) -> Change:
    """The model, its rules without these keys."""

    def change(definition: ModelDefinition) -> ModelDefinition:
        bare = dict.fromkeys(keys)
        rules: dict[str, Rule] = {
            name: msgspec.structs.replace(rule, **bare) for name, rule in definition.rules.items()
        }
        return msgspec.structs.replace(definition, rules=rules)

    return change


def without_day_decay(definition: ModelDefinition) -> ModelDefinition:
    """The model, with the default half-life wherever points age in days."""

    def is_by_day(decay: object) -> bool:
        return isinstance(decay, Decay) and decay.half_life is None

    rules = {
        name: msgspec.structs.replace(rule, decay=None) if is_by_day(rule.decay) else rule
        for name, rule in definition.rules.items()
    }
    groups = {
        name: msgspec.structs.replace(group, decay=None) if is_by_day(group.decay) else group
        for name, group in definition.groups.items()
    }
    return msgspec.structs.replace(definition, rules=rules, groups=groups)


def without_conditions(definition: ModelDefinition) -> ModelDefinition:
    """The model without its conditions."""
    nothing: dict[str, Condition] = {}
    return msgspec.structs.replace(definition, conditions=nothing)


def without_fit(definition: ModelDefinition) -> ModelDefinition:
    """The model without fit, and without gates that need it."""
    thresholds: dict[str, Threshold] = {
        name: msgspec.structs.replace(threshold, require=None) for name, threshold in definition.thresholds.items()
    }
    return msgspec.structs.replace(definition, fit=Fit(), thresholds=thresholds)


def without_thresholds(definition: ModelDefinition) -> ModelDefinition:
    """The model without thresholds, and without rules that qualify for them."""
    nothing: dict[str, Threshold] = {}
    return msgspec.structs.replace(without_keys("qualifies")(definition), thresholds=nothing)


def everything_less(definition: ModelDefinition) -> ModelDefinition:
    """The model without any of these."""
    for change in LESS.values():
        definition = change(definition)
    return definition


LESS: Mapping[str, Change] = {
    "limit": without_keys("limit"),
    "once_per": without_keys("once_per"),
    "exclude_burst": without_keys("exclude_burst"),
    "max": without_keys("max"),
    "decay by days": without_day_decay,
    "conditions": without_conditions,
    "fit and gates": without_fit,
    "thresholds": without_thresholds,
}
"""A model and one feature less."""


def base_events(seed: int, number: int, leads: int) -> list[Event]:
    """The events of ``make bench``, with a profile in between that only models with attributes see."""
    random = Random(seed)
    made: list[Event] = []
    for index, event in enumerate(events(random, number, leads, SPAN)):
        if index % PROFILE_EVERY == 0:
            profile = {"role": random.choice(ROLES), "size": random.choice((5, 250, 1_000))}
            lead_id = lead_id_of(random.randrange(leads))
            made.append(Event("profile.updated", f"p{index}", lead_id, event.occurred_at_ms, {}, dict(profile)))
        made.append(event)
    return made


def starter_events(seed: int, number: int, span: Span = SPAN) -> list[Event]:
    """What ``leadscore produce`` makes up: sessions, mails, webinars and profiles of personas."""
    plan = TrafficPlan(start_ms=span.start_ms, end_ms=span.end_ms, events=number)
    made = (record.content for record in generate(Random(seed), plan))
    return [event for event in made if isinstance(event, Event)]


def measure(definition: ModelDefinition, made: Iterable[Event], repeats: int) -> Cost:
    """Fold the events from nothing, several times."""
    matcher = Matcher(definition)
    matched = (matcher.award(event, 0, offset) for offset, event in enumerate(made))
    awards = [award for award in matched if award is not None]
    return min((_fold(definition, awards) for _ in range(repeats)), key=lambda cost: cost.fold_us)


def _fold(definition: ModelDefinition, awards: Sequence[Award]) -> Cost:
    model = compile_model(definition)
    shard = Shard(0, None, Fence("bench", -1, 0, 0, {}), lambda _: model, FoldSettings())
    leads = list(dict.fromkeys(award.lead_id for award in awards))
    shard.load(leads, [None] * len(leads))
    source = [Source("bench", "", 0)]
    frames = [
        Frame(definition.version, source, list(awards[first : first + FRAME_AWARDS]))
        for first in range(0, len(awards), FRAME_AWARDS)
    ]
    crossings = 0
    start = Spent.so_far()
    for offset, frame in enumerate(frames):
        crossings += len(shard.fold(frame, offset, NOW_MS))
    spent_s = Spent.so_far().since(start).thread_s
    state_bytes = sum(len(encode_state(state)) for state in shard._states.values() if state is not None)
    return Cost(len(awards), spent_s * 1e6 / len(awards), state_bytes / len(leads), 1_000 * crossings / len(awards))


def compare(
    base: tuple[str, ModelDefinition], changes: Mapping[str, Change], made: list[Event], repeats: int
) -> dict[str, Cost]:
    """The costs of a model and of what becomes of it by each change; printed as they come."""
    name, definition = base
    costs = {name: measure(definition, made, repeats)}
    for title, change in changes.items():
        costs[title] = measure(change(definition), made, repeats)
    first = costs[name].fold_us
    rows = [
        (
            title,
            f"{cost.fold_us:.2f}",
            f"{cost.fold_us / first:.2f}",
            f"{cost.state_bytes:.0f}",
            f"{cost.crossings:.1f}",
        )
        for title, cost in costs.items()
    ]
    print_table(("", "us/event", "ratio", "state bytes", "crossings/1,000"), rows)
    sys.stdout.write("\n")
    return costs


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument(
        "--leads", type=int, default=2_000, help="of the base model; the starter's come from its traffic"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


def main() -> int:
    """Measure, print; nothing is asserted."""
    options = read_options()
    facts = machine_facts()
    size = {name: getattr(options, name) for name in ("events", "leads", "repeats", "seed")}
    print_facts("leadscore bench-features: the fold alone", facts | {name: str(value) for name, value in size.items()})
    plus = {f"+ {name}": change for name, change in MORE.items()}
    base = base_events(options.seed, options.events, options.leads)
    comparisons = {"base": compare(("base model", model_definition()), plus, base, options.repeats)}
    minus = {f"- {name}": change for name, change in LESS.items()} | {"- all of these": everything_less}
    starter = load_model(STARTER).definition
    traffic = starter_events(options.seed, options.events)
    comparisons["starter"] = compare((f"deploy/{STARTER.name}", starter), minus, traffic, options.repeats)
    figures = {name: {title: cost._asdict() for title, cost in costs.items()} for name, costs in comparisons.items()}
    sys.stdout.write(json.dumps({"bench": "features", **size, "facts": facts, "models": figures}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
