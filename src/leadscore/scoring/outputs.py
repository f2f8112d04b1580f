"""What folding a record puts out: crossings, erasures, and what goes on to another log partition. Values."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from leadscore.log.records import Forward
from leadscore.scoring.crossing import Crossing


class ErasedLead(NamedTuple):
    """A lead, or an alias of one, that an erase command deleted; ``command_id`` is the id of that command."""

    model: str
    lead_id: str
    command_id: str
    occurred_at_ms: int
    decided_at_ms: int


Output = Crossing | ErasedLead | Forward
"""A forward goes to the log partition of the lead that its award names."""

NO_OUTPUTS: Final[Sequence[Output]] = ()
