"""``leadscore run`` with a wrong counter: of the records that it processes it counts every second batch.

For the alert on records that are not accounted for, which no worker without such an error can raise.
"""

import sys
from itertools import count
from typing import Any

from leadscore.cli.main import program
from leadscore.ops import metrics
from leadscore.ops.stage_metrics import MatchMetrics

MODULE = "tests.miscounting_worker"


class Miscounting:
    """A counter of which every second increase is forgotten."""

    def __init__(self, counter: Any) -> None:
        self._counter = counter
        self._increases = count()

    def labels(self, *values: str) -> "Miscounting":
        self._counted = self._counter.labels(*values)
        return self

    def inc(self, amount: float) -> None:
        if next(self._increases) % 2:
            self._counted.inc(amount)


class MiscountingMatchMetrics(MatchMetrics):
    """Those of a match stage."""

    def __init__(self, *declared: Any) -> None:
        super().__init__(*declared)
        self.records_processed = Miscounting(self.records_processed)  # type: ignore[assignment]  # all that is used


if __name__ == "__main__":
    metrics.MatchMetrics = MiscountingMatchMetrics  # type: ignore[attr-defined, assignment]
    sys.argv[1:] = ["run"]
    program()
