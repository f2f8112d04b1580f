"""One crossing with a value in every field that an enter has, and crossings as the schema has them."""

import msgspec

from leadscore.scoring.crossing import Cause, Crossing, Direction, Reason, Trigger

CROSSING = Crossing(
    id="8a5e4c1e-0000-5000-8000-000000000001",
    model="b2b",
    model_version=3,
    lead_id="L1",
    threshold="mql",
    direction=Direction.ENTER,
    cause=Cause.EVENT,
    entered_id=None,
    sequence=1,
    score=67.25,
    previous_score=58.125,
    engagement=47.25,
    fit=20.0,
    grade="B",
    enter_level=65.0,
    exit_level=50.0,
    occurred_at_ms=1_767_607_200_123,
    decided_at_ms=1_767_607_201_456,
    projected_exit_at_ms=1_767_707_200_789,
    trigger=Trigger("leadscore.website", "e1", "website.page_view", "spring-launch"),
    reasons=[Reason("company_size", 20.0), Reason("mail_click", -3.0)],
    stale=False,
)


def crossing_record(crossing: Crossing) -> dict[str, object]:
    """A crossing as ``crossing.avsc`` has it."""
    record: dict[str, object] = {"score_name": None, "merged_with": None, **msgspec.to_builtins(crossing)}
    for name in ("occurred_at", "decided_at", "projected_exit_at"):
        record[name] = record.pop(f"{name}_ms")
    return record
