"""The scenario in deploy/ under the starter model: what has happened by an instant, and where each lead is then."""

import json
from functools import cache
from pathlib import Path

from leadscore.events.json_lines import read_lines
from leadscore.model.definition import ModelDefinition
from leadscore.model.load import load_model
from leadscore.scoring.crossing import Crossing
from leadscore.scoring.explanation import Adjustment
from leadscore.scoring.simulation import LeadScore, Simulation, simulate
from tests import oracle

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "deploy" / "model.yaml"
SCENARIO = ROOT / "deploy" / "scenario.jsonl"
START_MS = 1_767_571_200_000  # 2026-01-05, a Monday, at midnight
LAST_DAY = 90


def midnight_ms(day: int) -> int:
    """The midnight after the given number of days of the scenario."""
    return START_MS + day * oracle.DAY_MS


@cache
def definition() -> ModelDefinition:
    return load_model(MODEL).definition


@cache
def up_to(day: int) -> Simulation:
    """What has happened, and every lead's score, at the midnight after the given number of days."""
    return until(midnight_ms(day))


def until(until_ms: int, without: str = "") -> Simulation:
    """What has happened by the instant, had no event of the type ``without`` come."""
    with SCENARIO.open("rb") as lines:
        log = [(line.event, line.received_at_ms or line.event.occurred_at_ms) for line in read_lines(lines, "scenario")]
    come = [(event, log_ms) for event, log_ms in log if log_ms <= until_ms and event.type != without]
    return simulate(definition(), come, until_ms)


def scenario() -> list[oracle.Plain]:
    return [json.loads(line) for line in SCENARIO.read_text().splitlines()]


def log_entries() -> list[oracle.Entry]:
    return [
        oracle.Entry(line, oracle.instant_ms(line["received_at"] if "received_at" in line else line["occurred_at"]))
        for line in scenario()
    ]


def lead_at(day: int, lead_id: str) -> LeadScore:
    (score_of_lead,) = (score for score in up_to(day).scores if score.lead_id == lead_id)
    return score_of_lead


def adjustments(day: int, lead_id: str) -> dict[tuple[str, str], float]:
    clamps: list[Adjustment] = lead_at(day, lead_id).explanation.adjustments
    return {(clamp.clamp, clamp.name): clamp.points for clamp in clamps}


def crossings_of(lead_id: str) -> list[Crossing]:
    return [crossing for crossing in up_to(LAST_DAY).crossings if crossing.lead_id == lead_id]
