"""What a record costs in the fold by what it does: cannot cross, might but does not, crosses; for each half of a run.

Part of ``make bench-in-process``. Every record is timed by itself (CPU time of the thread, less what asking the clock
takes), the least of several runs: each run folds the same records into the same leads. *One crossing more* is what a
record that crosses costs above one that cannot cross, with all that its crossings need until a producer can have them:
the entry of the outbox, Avro and the headers. *Speed* is that of a half's fold against the first half's: below 1 the
fold becomes slower as leads fill up.
"""

from collections.abc import Iterator, Mapping, Sequence
from time import thread_time_ns
from typing import Any, NamedTuple, Self

from leadscore.log.records import Award
from leadscore.model.compiled import CompiledModel
from leadscore.pipeline.score.outbox import encode_outputs
from leadscore.pipeline.score.publishing import Published, avro_encoding, crossing_output
from leadscore.scoring import fold
from leadscore.scoring.context import FoldContext, FoldSettings
from leadscore.scoring.crossing import Crossing
from leadscore.scoring.flags import latest_ms
from leadscore.scoring.state import LeadState
from tests.bench.features import NOW_MS

CANNOT, MIGHT, CROSSES = "cannot cross", "might, does not", "crosses"
KINDS = (CANNOT, MIGHT, CROSSES)
HEAD = ("us of CPU in the fold", *(part for kind in KINDS for part in ("%", kind)), "one crossing more", "all", "speed")
CLOCK_CALLS = 10_000
ENCODING = avro_encoding(None)


class Half(NamedTuple):
    """Of one half of a run, by kind: the share of the records, and microseconds of a record."""

    share: dict[str, float]
    us: dict[str, float]
    publish_us: float
    """Of the crossings of one record that crosses."""

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> Self:
        """The half that ``figures`` was made of."""
        return cls(*(figures[name] for name in cls._fields))

    @property
    def crossing_more_us(self) -> float:
        """What it costs that a record crosses."""
        return self.us[CROSSES] - self.us[CANNOT] + self.publish_us if self.share[CROSSES] else 0.0

    @property
    def fold_us(self) -> float:
        """Of a record, whichever kind it is."""
        return sum(self.share[kind] * self.us[kind] for kind in KINDS)

    def figures(self) -> dict[str, object]:
        """All of it, by name."""
        return self._asdict() | {"crossing_more_us": self.crossing_more_us, "fold_us": self.fold_us}


class Leads:
    """The leads of a run, from none on."""

    def __init__(self, model: CompiledModel) -> None:
        self._states: dict[str, LeadState | None] = {}
        self._context = FoldContext(model, None, lambda _: model, NOW_MS, FoldSettings())

    def may_cross(self, award: Award) -> bool:
        """Whether the fold will look closer at the record."""
        context, occurred_ms = self._context, award.occurred_at_ms
        state = self._states.get(award.lead_id) or LeadState(context.model.version, occurred_ms)
        return bool(context.model.thresholds) and fold.may_cross(
            state, award, max(latest_ms(state), occurred_ms), context
        )

    def fold(self, award: Award) -> list[Crossing]:
        """Fold the record into its lead."""
        states = self._states
        states[award.lead_id], crossings = fold.fold_award(states.get(award.lead_id), award, "bench", self._context)
        return crossings


def halves(model: CompiledModel, awards: Sequence[Award], repeats: int) -> list[Half]:
    """Both halves of a run."""
    kinds = list(_kinds(Leads(model), awards))
    runs = [_timed(Leads(model), awards) for _ in range(repeats)]
    clock_ns = min(_clock_ns() for _ in range(CLOCK_CALLS))
    fold_us = [(min(times) - clock_ns) / 1e3 for times in zip(*(run.fold_ns for run in runs), strict=True)]
    publish_us = [(min(times) - clock_ns) / 1e3 for times in zip(*(run.publish_ns for run in runs), strict=True)]
    crossed_before = kinds[: len(kinds) // 2].count(CROSSES)
    first, second = slice(None, len(kinds) // 2), slice(len(kinds) // 2, None)
    return [
        _half(kinds[first], fold_us[first], publish_us[:crossed_before]),
        _half(kinds[second], fold_us[second], publish_us[crossed_before:]),
    ]


def sum_us(measured: Sequence[Half]) -> float:
    """Of a record in either half, added up."""
    return sum(half.fold_us for half in measured)


def rows(workload: str, measured: Sequence[Half]) -> list[tuple[str, ...]]:
    """A row of the table for each half."""
    return [
        (
            f"{workload}, {name} half",
            *(part for kind in KINDS for part in (f"{100 * half.share[kind]:.1f}", f"{half.us[kind]:.1f}")),
            f"{half.crossing_more_us:.1f}",
            f"{half.fold_us:.2f}",
            f"{measured[0].fold_us / half.fold_us:.2f}",
        )
        for name, half in zip(("first", "second"), measured, strict=True)
    ]


class _Run(NamedTuple):
    """Nanoseconds in the fold of each record, and for what is published of each record that crosses."""

    fold_ns: list[int]
    publish_ns: list[int]


def _kinds(leads: Leads, awards: Sequence[Award]) -> Iterator[str]:
    for award in awards:
        may_cross = leads.may_cross(award)
        yield CROSSES if leads.fold(award) else MIGHT if may_cross else CANNOT


def _timed(leads: Leads, awards: Sequence[Award]) -> _Run:
    run = _Run([], [])
    for award in awards:
        start_ns = thread_time_ns()
        crossings = leads.fold(award)
        run.fold_ns.append(thread_time_ns() - start_ns)
        if crossings:
            run.publish_ns.append(_published_ns([*crossings]))
    return run


def _published_ns(outputs: list[Published]) -> int:
    start_ns = thread_time_ns()
    encode_outputs(outputs)
    for output in outputs:
        if isinstance(output, Crossing):
            crossing_output(output, ENCODING)
    return thread_time_ns() - start_ns


def _clock_ns() -> int:
    start_ns = thread_time_ns()
    return thread_time_ns() - start_ns


def _half(kinds: Sequence[str], fold_us: Sequence[float], publish_us: Sequence[float]) -> Half:
    number = dict.fromkeys(KINDS, 0)
    spent_us = dict.fromkeys(KINDS, 0.0)
    for kind, us in zip(kinds, fold_us, strict=True):
        number[kind] += 1
        spent_us[kind] += us
    return Half(
        {kind: number[kind] / max(1, len(kinds)) for kind in KINDS},
        {kind: spent_us[kind] / max(1, number[kind]) for kind in KINDS},
        sum(publish_us) / max(1, len(publish_us)),
    )
