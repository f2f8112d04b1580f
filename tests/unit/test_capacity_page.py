"""docs/capacity.md: its tables follow from its inputs, and its inputs stand on the page of the benchmarks."""

import re
from pathlib import Path

from tests.capacity_page import BEGIN, CASES, END, PAGE, Choices, Costs, choices, costs, generated, leads_of, plan

TEXT = PAGE.read_text(encoding="utf-8")
BENCHMARKS = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def test_the_tables_follow_from_the_inputs() -> None:
    between = TEXT[TEXT.index(BEGIN) : TEXT.index(END) + len(END)]
    assert between == generated(TEXT), "run: python -m tests.capacity_page"


def test_a_plan_by_hand() -> None:
    of_event = Costs(match_us=10, score_us=20, redis_us=2, brokers_us=5, lead_bytes=400)
    one = plan(100_000, of_event, Choices(0.5, 0.5, 4, 2))
    assert (one.match_processes, one.score_processes, one.log_partitions) == (2, 4, 32)
    assert (one.redis_masters, one.broker_cores) == (1, 0.5)
    assert plan(1_000_000, of_event, Choices(0.5, 0.5, 4, 2)).log_partitions == 256


def test_the_inputs_are_read_from_the_page() -> None:
    assert set(costs(TEXT)) == set(CASES)
    assert choices(TEXT).core_share <= 1
    assert all(of.score_us > 1 and of.lead_bytes > 100 for of in costs(TEXT).values())


def section(title: str) -> str:
    """Of the page of the benchmarks."""
    return f"{BENCHMARKS}\n## ".partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def numbers_of(text: str) -> set[float]:
    return {float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", text)}


def test_every_measured_input_stands_in_the_section_that_is_named_for_it() -> None:
    few, full = costs(TEXT).values()
    stages, beside, memory = map(numbers_of, map(section, ("Stages", "Beside other systems", "Memory")))
    assert {few.match_us, full.match_us, few.score_us, few.redis_us} <= stages
    assert {round(full.match_us + full.score_us, 1), full.redis_us, few.brokers_us, full.brokers_us} <= beside
    assert few.lead_bytes in memory


def test_the_memory_of_full_histories_is_that_of_the_run_beside_other_systems() -> None:
    _, full = costs(TEXT).values()
    [(megabytes, leads)] = re.findall(r"full: (\d+) MB for ([\d,]+) leads", TEXT)
    assert full.lead_bytes == int(megabytes) * 1e6 / int(leads.replace(",", ""))
    assert f" + {megabytes} MB |" in section("Beside other systems")


def test_the_leads_of_a_rate_are_those_that_send_it() -> None:
    assert leads_of(100_000, 1_000) * 1_000 == 100_000 * 86_400


def test_the_sections_that_the_inputs_name_exist() -> None:
    anchors = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")
        for title in re.findall(r"^## (.+)$", BENCHMARKS, re.MULTILINE)
    }
    assert set(re.findall(r"benchmarks\.md#([\w-]+)", TEXT)) <= anchors
