"""Metrics: names, units, zeros from the start, and the document that lists them."""

import ast
import re
import sys
from collections.abc import Sequence
from math import inf
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from leadscore.build_kind import build_kind
from leadscore.errors import DeadLetterReason
from leadscore.model.load import parse_model
from leadscore.ops import metrics as metrics_module
from leadscore.ops import stage_metrics
from leadscore.ops.batch_histogram import BatchHistogram
from leadscore.ops.metric_labels import (
    AWARD_OUTCOMES,
    KAFKA_ERRORS,
    LATENCY_BUCKETS_S,
    LEVELS,
    MOST_VERSIONS,
    REBALANCES,
    RECONCILIATIONS,
    RECORD_OUTCOMES,
    STAGES,
    STEPS,
    STORE_CALLS,
    STORE_ERRORS,
    TRANSACTION_RESULTS,
)
from leadscore.ops.metrics import Metrics
from leadscore.pipeline.score.reconcile import Found
from leadscore.scoring.outcomes import CountedOutcome
from leadscore.store.failures import FailureKind
from tests.unit.sample_crossing import CROSSING

METRICS_SOURCES = [Path(module.__file__) for module in (metrics_module, stage_metrics) if module.__file__]
DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
TOPICS = ("web", "leadscore.commands")
MODEL = """
model: m
version: 4
rules:
  deal: {event: deal.won, points: 0, outcome: won}
  back: {event: crm.rejected, points: 0, outcome: rejected, recycles: {threshold: mql, for: 90d}}
thresholds:
  mql: {enter: 50, exit: 30}
  hot: {enter: 90, exit: 70}
"""
UNITS = ("_seconds", "_records", "_bytes", "_points")
PLAIN_GAUGES = {
    "leadscore_leads",
    "leadscore_leads_in_threshold",
    "leadscore_assigned_partitions",
    "leadscore_stopped_partitions",
    "leadscore_dependency_up",
    "leadscore_paused",
    "leadscore_records_in_hand",
    "leadscore_outbox_entries",
    "leadscore_store_evicted_keys",
    "leadscore_build_info",
    "leadscore_config_info",
    "leadscore_model_info",
}
"""Gauges that count things or say 1: they have no unit."""


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3", TOPICS)


def samples(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """The values of a series by its label values, in the order of the labels' declaration."""
    labels = next(row.labels for row in metrics.described if name.startswith(row.name))
    exposition = metrics.render()[0].decode()
    return {
        tuple(sample.labels[label] for label in (*labels, "le") if label in sample.labels): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name == name
    }


def test_every_metric_follows_the_naming_conventions(metrics: Metrics) -> None:
    for name, kind, labels, help_text in metrics.described:
        assert re.fullmatch(r"leadscore(_[a-z0-9]+)+", name)
        assert name.endswith("_total") == (kind == "counter"), name
        assert kind != "histogram" or name.endswith(("_seconds", "_points")), name
        assert kind != "gauge" or name.endswith(UNITS) or name in PLAIN_GAUGES, name
        assert re.fullmatch(r"[A-Z0-9].*\.", help_text), name
        assert not {"lead", "lead_id", "event_id", "offset", "campaign"} & {*labels}, name


def test_nothing_else_is_exported_but_facts_of_the_process(metrics: Metrics) -> None:
    exported = set(re.findall(r"^# TYPE (\S+)", metrics.render()[0].decode(), re.MULTILINE))
    described = {row.name for row in metrics.described}
    assert described <= exported
    others = exported - described
    assert {name for name in others if not name.startswith("process_")} == set()
    assert sys.platform != "linux" or "process_resident_memory_bytes" in others


def test_no_creation_times_are_exported(metrics: Metrics) -> None:
    metrics.match.records_consumed.labels("web").inc()
    assert b"_created" not in metrics.render()[0]


def test_the_openmetrics_form_is_given_to_those_who_ask(metrics: Metrics) -> None:
    body, content_type = metrics.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert metrics.render()[1].startswith("text/plain")


def test_label_values_known_beforehand_start_at_zero(metrics: Metrics) -> None:
    assert samples(metrics, "leadscore_records_processed_total") == {
        (topic, outcome): 0 for topic in TOPICS for outcome in ("matched", "ignored", "dead_lettered", "given_up")
    }
    assert samples(metrics, "leadscore_dead_letters_total") == {(reason.value,): 0 for reason in DeadLetterReason}
    assert samples(metrics, "leadscore_rebalances_total") == {
        (stage, kind): 0 for stage in ("match", "score") for kind in ("assigned", "revoked", "lost")
    }
    assert samples(metrics, "leadscore_store_errors_total").keys() >= {("timeout",), ("oom",), ("other",)}
    assert samples(metrics, "leadscore_stage_duration_seconds_count") == {
        (stage, step): 0 for stage, steps in STEPS.items() for step in steps
    }
    assert samples(metrics, "leadscore_event_to_decision_seconds_count") == {(): 0}


def test_crossings_of_the_model_start_at_zero(metrics: Metrics) -> None:
    assert samples(metrics, "leadscore_crossings_published_total") == {}
    metrics.score.crossings_published.labels("mql", "main", "ENTER", "EVENT", "4").inc(2)
    metrics.score.expect(parse_model(MODEL, "model"))
    seen = samples(metrics, "leadscore_crossings_published_total")
    assert len(seen) == 2 * 10
    assert seen["mql", "main", "ENTER", "EVENT", "4"] == 2
    assert seen["hot", "main", "LEAVE", "TIME", "4"] == 0
    assert ("hot", "main", "ENTER", "TIME", "4") not in seen


def test_a_rebuild_that_meets_many_versions_of_the_model_does_not_make_more_and_more_series(metrics: Metrics) -> None:
    for version in range(1, 1_000):
        metrics.score.count_published(msgspec.structs.replace(CROSSING, model_version=version))
        metrics.score.count_said(CountedOutcome("mql", "won", "deal", version, None))
        metrics.leads.observe("main", version, 30)
    for name in ("crossings_published_total", "outcomes_total", "sampled_score_points_count"):
        seen = samples(metrics, f"leadscore_{name}")
        versions = {labels[-1]: number for labels, number in seen.items()}
        assert versions == {
            **{str(version): 1 for version in range(1, MOST_VERSIONS + 1)},
            "other": 999 - MOST_VERSIONS,
        }


def test_every_label_is_listed_with_the_set_of_its_values(metrics: Metrics) -> None:
    table = DOCUMENT.read_text(encoding="utf-8").split("\n## Label values\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", table, re.MULTILINE)[1:]
    listed = {label for row in rows for label in row.partition(" of ")[0].split(", ")}
    assert listed == {label for row in metrics.described for label in row.labels}


def test_outcomes_of_the_model_start_at_zero(metrics: Metrics) -> None:
    metrics.expect(parse_model(MODEL, "model"))
    assert samples(metrics, "leadscore_enter_to_outcome_seconds_count") == {
        ("mql", "won"): 0,
        ("hot", "won"): 0,
        ("mql", "rejected"): 0,
    }
    assert samples(metrics, "leadscore_outcomes_total") == {
        **{(threshold, "won", "deal", "4"): 0 for threshold in ("mql", "hot", "")},
        **{(threshold, "rejected", "back", "4"): 0 for threshold in ("mql", "")},
    }


def test_a_batch_is_counted_at_once(metrics: Metrics) -> None:
    metrics.match.records_processed.labels("web", "matched").inc(1_500)
    assert samples(metrics, "leadscore_records_processed_total")["web", "matched"] == 1_500


def test_two_workers_in_one_process_share_nothing(metrics: Metrics) -> None:
    metrics.score.ticks.inc()
    assert samples(Metrics("1.2.3", TOPICS), "leadscore_ticks_total") == {(): 0}


def test_the_lag_of_a_partition_that_was_given_up_is_gone(metrics: Metrics) -> None:
    metrics.kafka.lag.set("leadscore.log", 3, 17, 2.5)
    metrics.kafka.lag.set("leadscore.log", 4, 0, 0.0)
    assert samples(metrics, "leadscore_consumer_lag_records") == {
        ("leadscore.log", "3"): 17,
        ("leadscore.log", "4"): 0,
    }
    assert samples(metrics, "leadscore_consumer_lag_seconds")["leadscore.log", "3"] == 2.5
    metrics.kafka.lag.forget("leadscore.log", 3)
    metrics.kafka.lag.forget("leadscore.log", 9)
    for name in ("leadscore_consumer_lag_records", "leadscore_consumer_lag_seconds"):
        assert samples(metrics, name) == {("leadscore.log", "4"): 0}


def test_only_the_newest_model_and_configuration_are_reported_to_be_in_use(metrics: Metrics) -> None:
    metrics.process.set_model("b2b", 3)
    metrics.process.set_model("b2b", 4)
    metrics.process.set_config("ab")
    metrics.process.set_config("cd")
    assert samples(metrics, "leadscore_model_info") == {("b2b", "4"): 1}
    assert samples(metrics, "leadscore_config_info") == {("cd",): 1}
    assert samples(metrics, "leadscore_build_info") == {("1.2.3", build_kind()): 1}


def test_log_lines_are_counted_by_level(metrics: Metrics) -> None:
    metrics.process.count_log_line("error")
    assert samples(metrics, "leadscore_log_messages_total")["error",] == 1


def test_latencies_have_a_boundary_at_every_promise(metrics: Metrics) -> None:
    expected = {*LATENCY_BUCKETS_S, inf}
    for name in ("event_to_decision", "record_to_decision", "decision_to_publish", "record_to_crossing"):
        assert {float(bound) for (bound,) in samples(metrics, f"leadscore_{name}_seconds_bucket")} == expected


def test_a_batch_histogram_counts_as_the_library_does(metrics: Metrics) -> None:
    now_ms, ages_ms = 1_900_000_000_000, [0, 100, 101, 250, 249, 4_000, 5_000, 299_000, 300_000, 300_001, 10**12]
    instants_ms = [now_ms - age_ms for age_ms in ages_ms]
    metrics.latency.event_to_decision.observe_ages(now_ms, instants_ms[:4])
    metrics.latency.event_to_decision.observe_ages(now_ms, instants_ms[4:])
    metrics.latency.event_to_decision.observe_ages(now_ms, [])
    for age_ms in ages_ms:
        metrics.latency.decision_to_publish.observe(age_ms / 1000)
    for part in ("bucket", "count", "sum"):
        ours = samples(metrics, f"leadscore_event_to_decision_seconds_{part}")
        assert ours == samples(metrics, f"leadscore_decision_to_publish_seconds_{part}")


def test_a_batch_histogram_keeps_a_boundary_value_in_its_own_bucket() -> None:
    histogram = BatchHistogram("x_seconds", "X.", (1, 2))
    histogram.observe_ages(5_000, [4_000, 3_500, 3_000, 2_000])
    (family,) = histogram.collect()
    assert [(sample.labels.get("le"), sample.value) for sample in family.samples] == [
        ("1.0", 1),
        ("2.0", 3),
        ("+Inf", 4),
        (None, 4),
        (None, 7.5),
    ]


def test_an_instant_ahead_counts_as_now_so_that_the_sum_never_falls() -> None:
    histogram = BatchHistogram("x_seconds", "X.", (1,))
    histogram.observe_ages(5_000, [4_500, 7_000])
    (family,) = histogram.collect()
    assert [sample.value for sample in family.samples] == [2, 2, 2, 0.5]


def test_not_even_a_backfill_of_months_is_all_beyond_the_last_boundary() -> None:
    assert max(LATENCY_BUCKETS_S) == 365 * 86_400


def test_the_document_lists_exactly_these_metrics(metrics: Metrics) -> None:
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `leadscore_")]
    expected = [
        f"| `{row.name}` | {row.type} | {', '.join(f'`{label}`' for label in row.labels)} | {row.help} |"
        for row in metrics.described
    ]
    assert [re.sub(r" +", " ", line) for line in rows] == [re.sub(r" +", " ", line) for line in expected]


@pytest.mark.parametrize(
    ("label", "values"),
    [
        ("stage", STAGES),
        ("step", [step for stage in STAGES for step in STEPS[stage]]),
        ("outcome of records", RECORD_OUTCOMES),
        ("outcome of awards", AWARD_OUTCOMES),
        ("reason", [reason.value for reason in DeadLetterReason]),
        ("kind of store errors", STORE_ERRORS),
        ("kind of Kafka errors", KAFKA_ERRORS),
        ("kind of rebalances", REBALANCES),
        ("service", ("kafka", "redis")),
        ("result of transactions", TRANSACTION_RESULTS),
        ("result", RECONCILIATIONS),
        ("call", STORE_CALLS),
        ("level", LEVELS),
    ],
)
def test_the_document_lists_the_values_of_every_label(label: str, values: Sequence[str]) -> None:
    (row,) = re.findall(rf"^\| {label} \| (.*) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert re.findall(r"[a-z_]+", re.sub(r"\([^)]*\)|of (match|score):", "", row)) == [*values]


def test_kinds_of_store_errors_are_those_that_the_store_distinguishes() -> None:
    assert tuple(kind.value for kind in FailureKind) == STORE_ERRORS


def test_results_of_reconciling_are_what_may_be_found_and_a_stop() -> None:
    assert (*(result.value for result in Found), "stopped") == RECONCILIATIONS


def test_every_declared_metric_is_set_somewhere() -> None:
    for source in METRICS_SOURCES:
        assert unset_metrics(source.read_text(encoding="utf-8"), read_elsewhere()) == set()


def test_a_metric_that_nothing_sets_would_be_noticed() -> None:
    source = """
class Some:
    def __init__(self, declare):
        self.used = declare.counter("a", "A.")
        self.forgotten = declare.counter("b", "B.")
        self._by_method = declare.gauge("c", "C.")
        self._by_no_method = declare.gauge("d", "D.")

    def set_it(self):
        self._by_method.set(1)

    def nobody_calls(self):
        self._by_no_method.set(1)
"""
    assert unset_metrics(source, {"used", "set_it"}) == {"forgotten", "_by_no_method"}


def unset_metrics(source: str, read_elsewhere: set[str]) -> set[str]:
    """The metrics that no other module names, nor a method here that one does."""
    tree = ast.parse(source)
    methods = {node.name: attributes_read(node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    by_methods = {name for method, names in methods.items() if method in read_elsewhere for name in names}
    return declared_attributes(tree) - read_elsewhere - by_methods


def declared_attributes(tree: ast.AST) -> set[str]:
    """``ticks`` of ``self.ticks = declare.counter(...)``."""
    return {
        target.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("declare.")
        for target in node.targets
        if isinstance(target, ast.Attribute)
    }


def attributes_read(tree: ast.AST) -> set[str]:
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return {node.attr for node in nodes if isinstance(node.ctx, ast.Load)}


def read_elsewhere() -> set[str]:
    others = [path for path in METRICS_SOURCES[0].parents[1].rglob("*.py") if path not in METRICS_SOURCES]
    return set().union(*(attributes_read(ast.parse(path.read_text(encoding="utf-8"))) for path in others))
