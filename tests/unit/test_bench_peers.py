"""The comparison with other systems: page, plot and figures agree, and so do the models."""

import os
from xml.etree import ElementTree as ET

import msgspec
import pytest

from tests.bench import peers_workload
from tests.bench.peers import page, scoring
from tests.bench.peers.figures import Absent, Cpu, Crossings, Report, Run, Workload
from tests.bench.peers.parts import LOOP, Parts, cpu_by_thread, seconds_by_step
from tests.bench.peers.run import planned, read_options

WORKLOAD = Workload("peers", 1_000, 10)


def run_at(rate: float, broker_us: float | None = 2.0) -> Run:
    cpu = Cpu(10.0, broker_us, 1.0)
    return Run("leadscore", WORKLOAD, rate, rate, cpu, cpu, 1.0, 0.5, 100.0, Crossings(5, 4, 0))


def report_of(*runs: Run) -> Report:
    facts = {"cores": "2", "python": "3.11", "leadscore": "0.1.0"}
    titles = {"leadscore": "leadscore", "quix": "Quix Streams"}
    return Report("2026-11-29", facts, titles, 0.01, list(runs), [Absent("quix", "no | registry\nanswers")])


def rows_of(text: str) -> list[list[str]]:
    return [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]


def test_the_page_and_the_plot_are_those_of_the_figures() -> None:
    report = page.read_report()
    text = page.PAGE.read_text("utf-8")
    assert page.with_tables(text, report) == text
    assert page.PLOT.read_text("utf-8") == page.plot(report)


def test_every_row_has_a_cell_for_every_head() -> None:
    rows = rows_of(page.tables(report_of(run_at(100), run_at(300, broker_us=None), run_at(200))))
    assert [len(row) for row in rows] == [len(page.HEAD)] * 3
    assert " 200 (100 to 300) " in rows[2]


def test_where_the_time_of_a_run_went_is_a_table_of_its_own() -> None:
    start = Parts({"loop": 1.0, "rdk:broker1": 0.5}, {"score: fold": 0.25})
    metrics = 'leadscore_stage_duration_seconds_sum{stage="score",step="fold"} 0.75\n'
    end = Parts({"loop": 3.0, "rdk:broker1": 1.0, "rdk:main": 0.1}, seconds_by_step(metrics))
    run = msgspec.structs.replace(run_at(100_000), half_parts=end.per_event_us(start, 1e6 / 500_000))
    assert run.half_parts == Parts({"loop": 4.0, "rdk:broker1": 1.0, "rdk:main": 0.2}, {"score: fold": 1.0})
    *_, row = rows_of(page.tables(report_of(run)))
    of_head = dict(zip(page.PARTS_HEAD, map(str.strip, row), strict=True))
    assert (of_head["CPU: loop"], of_head["Kafka's client"], of_head["time: fold"]) == ("4.0", "1.2", "1.0")
    assert of_head["rest"] == "9.0"


def test_the_threads_of_a_process_are_told_apart_by_name() -> None:
    assert LOOP in cpu_by_thread(os.getpid(), os.sysconf("SC_CLK_TCK"))


def test_what_could_not_be_had_is_in_the_table() -> None:
    assert "**Not measured: Quix Streams.** no / registry answers" in page.tables(report_of(run_at(100)))


def test_the_plot_is_xml_with_a_bar_for_each_part_of_the_cpu_time() -> None:
    svg = ET.fromstring(page.plot(report_of(run_at(100))))
    bars = [bar for bar in svg.iter("{http://www.w3.org/2000/svg}rect") if bar.get("height") == "18"]
    assert [float(bar.get("width") or 0) for bar in bars[:3]] == pytest.approx([276.9, 55.4, 27.7])


def test_text_around_the_tables_stays() -> None:
    text = f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n"
    made = page.with_tables(text, report_of(run_at(100)))
    assert made.startswith("before\n")
    assert made.endswith("\nafter\n")
    assert "old" not in made


def test_the_peers_have_the_rules_of_the_workload() -> None:
    groups = list(peers_workload.MODEL["groups"])
    rules = {
        (
            rule["event"],
            rule.get("where", {}).get("path", {}).get("matches", "").removeprefix("^"),
            rule["points"],
            int(rule.get("decay", peers_workload.MODEL["decay"])["half_life"].removesuffix("d")),
            groups.index(rule["group"]),
        )
        for rule in peers_workload.MODEL["rules"].values()
    }
    order = [groups.index(name) for name in ("website", "email", "webinar")]
    assert rules == {(*rule[:4], order[rule[4]]) for rule in scoring.RULES}


def test_only_some_systems_can_be_measured() -> None:
    options = read_options(["--only", "leadscore,decode", "--warm-events", "0", "--starter-events", "0"])
    assert planned(options) == {Workload("peers", 300_000, 20_000): ["decode", "leadscore"]}
