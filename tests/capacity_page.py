"""The tables of docs/capacity.md, computed from the inputs that stand on the page.

``python -m tests.capacity_page`` writes them anew.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "capacity.md"
BEGIN = "<!-- From here to the next mark the page is written by python -m tests.capacity_page -->\n"
END = "<!-- end of what python -m tests.capacity_page writes -->\n"
RATES = (100_000, 1_000_000)
LEADS = (1_000_000, 10_000_000, 100_000_000)
EVENTS_PER_LEAD_AND_DAY = (100, 1_000)
DAY_S = 86_400
CASES = ("Few events per lead", "Full histories")
LEAST_PARTITIONS, MOST_PARTITIONS = 32, 2_048


@dataclass(frozen=True, slots=True)
class Costs:
    """What an event and a lead cost; the first column of inputs, or the second."""

    match_us: float
    score_us: float
    redis_us: float
    brokers_us: float
    lead_bytes: float


@dataclass(frozen=True, slots=True)
class Choices:
    """How much room there is to be."""

    core_share: float
    redis_share: float
    partitions_per_process: float
    memory_factor: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rate needs."""

    match_processes: int
    score_processes: int
    log_partitions: int
    redis_masters: int
    broker_cores: float


def costs(text: str) -> dict[str, Costs]:
    """The inputs of the page, by case."""
    rows = _numbers(text, "## Inputs")
    return {case: Costs(*(row[index] for row in rows[:5])) for index, case in enumerate(CASES)}


def choices(text: str) -> Choices:
    """The choices of the page."""
    return Choices(*(row[0] for row in _numbers(text, "What was chosen:")))


def plan(rate: int, of_event: Costs, chosen: Choices) -> Plan:
    """The rule of the section "How it is computed"."""
    score = _processes(rate, of_event.score_us, chosen.core_share)
    partitions = 2 ** math.ceil(math.log2(score * chosen.partitions_per_process))
    return Plan(
        match_processes=_processes(rate, of_event.match_us, chosen.core_share),
        score_processes=score,
        log_partitions=min(max(partitions, LEAST_PARTITIONS), MOST_PARTITIONS),
        redis_masters=_processes(rate, of_event.redis_us, chosen.redis_share),
        broker_cores=rate * of_event.brokers_us / 1e6,
    )


def redis_memory_bytes(leads: int, of_lead: Costs, chosen: Choices) -> float:
    """What Redis needs for that many leads."""
    return leads * of_lead.lead_bytes * chosen.memory_factor


def leads_of(rate: int, events_per_lead_and_day: int) -> int:
    """How many leads send that rate of events per second."""
    return rate * DAY_S // events_per_lead_and_day


def generated(text: str) -> str:
    """The tables, with the marks around them."""
    return f"{BEGIN}\n{''.join(_plans(text))}\n{''.join(_memory(text))}\n{''.join(_memory_by_rate(text))}\n{END}"


def _plans(text: str) -> Iterator[str]:
    yield "| Events per second | Leads | Match processes | Score processes | Log partitions | Redis masters "
    yield "| Cores of the brokers |\n|---|---|---|---|---|---|---|\n"
    for rate in RATES:
        for case, of_event in costs(text).items():
            one = plan(rate, of_event, choices(text))
            yield (
                f"| {rate:,} | {case.lower()} | {one.match_processes} | {one.score_processes} | "
                f"{one.log_partitions} | {one.redis_masters} | {one.broker_cores:.1f} |\n"
            )


def _memory(text: str) -> Iterator[str]:
    yield f"| Leads | {' | '.join(f'Redis memory, {case.lower()}' for case in CASES)} |\n|---|---|---|\n"
    for leads in LEADS:
        sizes = (redis_memory_bytes(leads, of_lead, choices(text)) for of_lead in costs(text).values())
        yield f"| {leads:,} | {' | '.join(f'{size / 1e9:,.1f} GB' for size in sizes)} |\n"


def _memory_by_rate(text: str) -> Iterator[str]:
    full = costs(text)[CASES[1]]
    yield "| Events per second | Events of a lead in a day | Leads "
    yield f"| Redis memory, {CASES[1].lower()} |\n|---|---|---|---|\n"
    for rate in RATES:
        for events in EVENTS_PER_LEAD_AND_DAY:
            leads = leads_of(rate, events)
            size = redis_memory_bytes(leads, full, choices(text))
            yield f"| {rate:,} | {events:,} | {leads:,} | {size / 1e9:,.1f} GB |\n"


def _processes(rate: int, us_per_event: float, share: float) -> int:
    return math.ceil(round(rate * us_per_event / 1e6 / share, 6))


def _numbers(text: str, heading: str) -> list[list[float]]:
    """The numbers of each row of the table below a heading."""
    below = text.partition(f"\n{heading}\n")[2].partition("\n|")[2]
    lines = f"|{below}".partition("\n\n")[0].splitlines()[2:]
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [[float(cell) for cell in row if re.fullmatch(r"[\d.]+", cell)] for row in cells]


def write() -> None:
    """Write the tables, and leave the rest."""
    text = PAGE.read_text(encoding="utf-8")
    above, below = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text(above + generated(text) + below, encoding="utf-8")


if __name__ == "__main__":
    write()
