"""``leadscore explain``: why a lead's score is what it is, and what changes next."""

import argparse
import json
import os
import sys
import time
from contextlib import closing

from leadscore.cli.columns import output_columns
from leadscore.cli.explain_text import explain_lines
from leadscore.cli.lead_view import LeadView, ThresholdView, view_of
from leadscore.cli.options import instant, lead_id
from leadscore.cli.outcome_words import outcome_object
from leadscore.cli.simulate import score_object
from leadscore.cli.stored_leads import LeadAt, StoredLead, StoredLeads, add_model_option, model_versions
from leadscore.errors import ConfigError
from leadscore.ops.config import load_config
from leadscore.ops.kafka_properties import BOOTSTRAP_SERVERS
from leadscore.pipeline.stores import make_store
from leadscore.scoring.crossing import iso_instant
from leadscore.scoring.explanation import Explanation, Part


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "explain",
        help="say why a lead's score is what it is, and what changes next",
        description="Read a lead from Redis and say what its score is made of, how that decays, and when it leaves "
        "a threshold if nothing else happens. Configured by the worker's LEADSCORE_... variables.",
    )
    parser.add_argument("lead_id", type=lead_id, metavar="LEAD", help="the id of the lead")
    parser.add_argument(
        "--at", type=instant, metavar="TIME", help="as of this time, not before the lead's latest record (default: now)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_model_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the explanation; ``ConfigError`` for a time in the lead's past, ``Unavailable`` without Redis or Kafka."""
    config = load_config(os.environ, required=[] if args.model else [BOOTSTRAP_SERVERS])
    with closing(make_store(config)) as store:
        leads = StoredLeads(store, config, model_versions(config, args.model))
        person = leads.person(args.lead_id, config.log_partitions)
        view = view_of(_lead_at(leads, person.lead, args.at), person.aliases)
    if args.json:
        print(json.dumps(view_object(view)))
    else:
        unicode = "utf" in (sys.stdout.encoding or "").lower()
        print("\n".join(explain_lines(view, output_columns(), unicode=unicode)))
    return 0


def _lead_at(leads: StoredLeads, stored: StoredLead, at_ms: int | None) -> LeadAt:
    if at_ms is None:
        return leads.brought_to(stored, time.time_ns() // 1_000_000)
    if stored.latest_ms is not None and at_ms < stored.latest_ms:
        raise ConfigError(
            f"--at: {iso_instant(at_ms)}: expected {iso_instant(stored.latest_ms)} or later: the lead changed then, "
            "and earlier states are not kept"
        )
    return leads.brought_to(stored, at_ms)


def view_object(view: LeadView) -> dict[str, object]:
    """The explanation as plain JSON values; the points of parts and adjustments add up to ``score``."""
    soonest = view.next_leave
    lead: dict[str, object] = {
        **score_object(view.line),
        "scored": view.scored,
        "asked_for": view.asked_for[0] if view.asked_for else view.line.lead_id,
        "aliases": view.aliases,
        "model": view.model,
        "model_version": view.model_version,
        "disqualified_by": None if view.disqualified_by is None else view.disqualified_by.name,
        "suspended": view.suspended,
        "outcome": outcome_object(view.outcome),
        "latest_record_at": _iso(view.latest_record_ms),
        **_explained(view.explanation, view),
        "standings": [_standing_object(standing) for standing in view.standings],
        "next_change": None if soonest is None else _next_change(soonest),
    }
    if view.line.others:
        lead["scores"] = {
            name: {"score": other.score, "engagement": other.engagement, **_explained(other, view)}
            for name, other in view.line.others.items()
        }
    return lead


def _explained(explanation: Explanation, view: LeadView) -> dict[str, object]:
    """What one score is made of."""
    return {
        "parts": [_part_object(part, view) for part in explanation.parts],
        "adjustments": [
            {"clamp": adjustment.clamp, "name": adjustment.name, "points": adjustment.points}
            for adjustment in explanation.adjustments
        ],
    }


def _part_object(part: Part, view: LeadView) -> dict[str, object]:
    decay_times = view.decay_times.get(part.name) if part.part == "rule" else None
    return {
        "part": part.part,
        "name": part.name,
        "group": part.group,
        "points": part.points,
        "awarded": part.awarded,
        "count": part.count,
        "latest_event_at": _iso(part.latest_event_ms),
        "half_gone_at": _iso(decay_times.half_gone_ms if decay_times is not None else None),
        "gone_at": _iso(decay_times.gone_ms if decay_times is not None else None),
    }


def _standing_object(standing: ThresholdView) -> dict[str, object]:
    projected = standing.projected_exit
    return {
        "threshold": standing.threshold,
        "score_name": standing.score_name,
        "standing": "in" if standing.is_in else "out",
        "enter_level": standing.enter_level,
        "exit_level": standing.exit_level,
        "entered_at": _iso(standing.entered_ms),
        "sequence": standing.sequence,
        "projected_exit_at": _iso(projected.at_ms if projected is not None else None),
        "held_until": _iso(standing.hold.until_ms if standing.hold is not None else None),
        "held_by": standing.hold.rules if standing.hold is not None else [],
        "gates": [{"what": gate.what, "current": gate.current, "expected": gate.expected} for gate in standing.gates],
        "cooldown_until": _iso(standing.cooldown_until_ms),
        "recycled_until": _iso(standing.recycled_until_ms),
    }


def _next_change(soonest: ThresholdView) -> dict[str, object]:
    projected = soonest.projected_exit
    return {
        "threshold": soonest.threshold,
        "direction": "LEAVE",
        "cause": projected.cause.value if projected is not None else None,
        "at": _iso(projected.at_ms if projected is not None else None),
    }


def _iso(instant_ms: int | None) -> str | None:
    return None if instant_ms is None else iso_instant(instant_ms)
