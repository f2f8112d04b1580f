"""What Prometheus scrapes, minute by minute, and the alerts that fire then: the unit tests of the rules.

The series are in the notation of ``promtool test rules``: ``0+3x9`` is 0 and then nine times 3 more, ``_`` is a scrape
without the series, ``stale`` its end. Every case also has a healthy worker, unless it says what becomes of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

WORKER = 'job="leadscore",group="main",instance="a"'
OTHER_WORKER = WORKER.replace('"a"', '"b"')
HEALTHY = {f"leadscore_build_info{{{WORKER}}}": "1x500", f"up{{{WORKER}}}": "1x500"}
FOREVER = "x500"


class Why(StrEnum):
    """What a case shows of its alert."""

    FIRES = "fires"
    JUST_BELOW = "stays silent just below its limit"
    RESTART = "stays silent when a worker starts again"
    MISSING = "stays silent when the data is missing"
    FEW = "stays silent when there is hardly any traffic"
    OTHER = "knows another case"


@dataclass(frozen=True, slots=True)
class Case:
    """At ``minute`` exactly these alerts fire."""

    alert: str
    why: Why
    series: Mapping[str, str]
    minute: int
    firing: Sequence[str] = ()
    about: str = ""

    def __str__(self) -> str:
        return f"{self.alert} {self.why}{f' ({self.about})' if self.about else ''}"


def of(name: str, values: str, labels: str = "", worker: str = WORKER) -> dict[str, str]:
    """One series of a worker."""
    return {f"{name}{{{worker}{labels and ','}{labels}}}": values}


def all_cases() -> Iterator[Case]:
    """Every case; that of missing data is made of the one in which the alert fires."""
    written = [*_freshness(), *_publishing(), *_progress(), *_lag(), *_state(), *_leaves(), *_inputs(), *_services()]
    for case in [*written, *_processes()]:
        yield case
        if case.why is Why.FIRES and not case.about and "leadscore_build_info" not in " ".join(case.series):
            yield Case(case.alert, Why.MISSING, dict.fromkeys(case.series, f"_{FOREVER}"), case.minute)


def _latencies(histogram: str, total: str, in_time: str, boundary: str = "5.0") -> dict[str, str]:
    return of(f"{histogram}_count", total) | of(f"{histogram}_bucket", in_time, f'le="{boundary}"')


def _budget_cases(objective: str, histogram: str) -> Iterator[Case]:
    fast, slowly = (f"Leadscore{objective}BudgetBurns{pace}" for pace in ("Fast", "Slowly"))
    steady = {share: _latencies(histogram, "0+10000x100", f"0+{10_000 - share}x100") for share in (200, 50, 9)}
    yield Case(fast, Why.FIRES, steady[200], 90, [fast, slowly])
    yield Case(fast, Why.JUST_BELOW, steady[50], 90, [slowly])
    yield Case(slowly, Why.FIRES, steady[50], 90, [slowly])
    yield Case(slowly, Why.JUST_BELOW, steady[9], 90)
    last_hour = {
        late: _latencies(histogram, "0+1000x400", f"0+1000x340 {340_000 + 1000 - late}+{1000 - late}x59")
        for late in (20, 13)
    }
    yield Case(fast, Why.FIRES, last_hour[20], 400, [fast, slowly], "one hour of six, at 20 times the budget")
    yield Case(fast, Why.JUST_BELOW, last_hour[13], 400, [slowly], "one hour of six, at 13 times the budget")
    over = _latencies(histogram, "0+1000x400", "0+1000x345 345800+800x19 362000+1000x40")
    yield Case(fast, Why.JUST_BELOW, over, 400, [slowly], "it was bad half an hour ago, and is not any more")
    yield Case(fast, Why.FEW, _latencies(histogram, "0+1x100", "0+0.9x100"), 90)
    yield Case(slowly, Why.FEW, _latencies(histogram, "0+1x100", "0+0.9x100"), 90)
    restarted = _latencies(histogram, "0+1000x50 0+1000x50", "0+1000x50 0+1000x50")
    yield Case(fast, Why.RESTART, restarted, 90)
    yield Case(slowly, Why.RESTART, restarted, 90)


def _freshness() -> Iterator[Case]:
    return _budget_cases("Freshness", "leadscore_record_to_decision_seconds")


def _publishing() -> Iterator[Case]:
    histogram = "leadscore_decision_to_publish_seconds"
    no_failures = of("leadscore_publish_failures_total", "0x500", 'kind="crossing"')
    for case in _budget_cases("Publishing", histogram):
        yield Case(case.alert, case.why, {**case.series, **no_failures}, case.minute, case.firing, case.about)
    refused = of("leadscore_publish_failures_total", "0+30x100", 'kind="crossing"')
    both = [f"LeadscorePublishingBudgetBurns{pace}" for pace in ("Fast", "Slowly")]
    series = _latencies(histogram, "0+1000x100", "0+1000x100") | refused
    yield Case(both[0], Why.FIRES, series, 90, both, "Kafka refuses crossings")


def _stage(oldest: str, last: str, *more: dict[str, str]) -> dict[str, str]:
    series = of("leadscore_oldest_unprocessed_record_timestamp_seconds", oldest, 'stage="score"')
    series |= of("leadscore_last_record_processed_timestamp_seconds", last, 'stage="score"')
    for one in more:
        series |= one
    return series


def _progress() -> Iterator[Case]:
    stuck, stopped = "LeadscoreStuck", "LeadscorePartitionsStopped"
    yield Case(stuck, Why.FIRES, _stage(f"60{FOREVER}", f"60{FOREVER}"), 9, [stuck])
    yield Case(stuck, Why.JUST_BELOW, _stage(f"60{FOREVER}", "0+60x500"), 60, [], "late, but it goes on")
    yield Case(stuck, Why.JUST_BELOW, _stage("60x6 0x500", "60x6 420x500"), 60, [], "less than five minutes")
    yield Case(stuck, Why.OTHER, _stage(f"0{FOREVER}", f"60{FOREVER}"), 60, [], "nothing waits")
    yield Case(stuck, Why.RESTART, _stage("60x500", "600x10 0x3 840+60x100"), 15)
    paused = of("leadscore_paused", f"1{FOREVER}", 'stage="score"')
    yield Case(stuck, Why.FIRES, paused, 7, [stuck], "a service is away")
    yield Case(stuck, Why.JUST_BELOW, of("leadscore_paused", "1x4 0x100", 'stage="score"'), 7, [], "for four minutes")
    unassigned = of("leadscore_assigned_partitions", f"0{FOREVER}", 'stage="match"')
    unassigned |= of("leadscore_assigned_partitions", f"0{FOREVER}", 'stage="score"')
    yield Case(stuck, Why.FIRES, unassigned, 7, [stuck], "no worker owns a partition")
    one_stage = unassigned | of("leadscore_assigned_partitions", f"4{FOREVER}", 'stage="score"')
    yield Case(stuck, Why.OTHER, one_stage, 60, [], "a process of one stage alone")
    matches = of("leadscore_assigned_partitions", f"4{FOREVER}", 'stage="match"')
    matches |= of("leadscore_assigned_partitions", f"0{FOREVER}", 'stage="score"')
    for why, owned, minute, about in (
        (Why.FIRES, "4x20 stale", 30, "those that score are gone"),
        (Why.FIRES, "4x20 0x500", 30, "those that score own nothing any more"),
        (Why.JUST_BELOW, "4x20 stale _x3 4x100", 25, "those that score were gone for four minutes"),
        (Why.OTHER, f"0{FOREVER}", 60, "nothing is scored here"),
    ):
        scores = of("leadscore_assigned_partitions", owned, 'stage="score"', OTHER_WORKER)
        yield Case(stuck, why, matches | scores, minute, [stuck] if why is Why.FIRES else [], about)
    stands = of("leadscore_stopped_partitions", f"1{FOREVER}", 'stage="score"')
    yield Case(stopped, Why.FIRES, stands, 5, [stopped])
    yield Case(stuck, Why.OTHER, _stage("60x500", "60x500", stands), 60, [stopped], "what waits is stopped")
    yield Case(stopped, Why.JUST_BELOW, of("leadscore_stopped_partitions", "1 0x500", 'stage="score"'), 5)
    yield Case(stopped, Why.RESTART, of("leadscore_stopped_partitions", "0x20 _ 0x100", 'stage="score"'), 30)


def _lag() -> Iterator[Case]:
    alert, where = "LeadscoreLagGrows", 'topic="web",partition="0"'
    grows = of("leadscore_consumer_lag_seconds", "0+30x500", where)
    yield Case(alert, Why.FIRES, grows, 40, [alert])
    slowly = of("leadscore_consumer_lag_seconds", "62+0.1x500", where)
    yield Case(alert, Why.FIRES, slowly, 40, [alert], "just above its limit")
    yield Case(alert, Why.JUST_BELOW, of("leadscore_consumer_lag_seconds", f"600{FOREVER}", where), 60, [], "it stays")
    yield Case(alert, Why.JUST_BELOW, of("leadscore_consumer_lag_seconds", "0+0.9x500", where), 60, [], "a minute")
    restarts = of("leadscore_consumer_lag_seconds", " ".join(["0+30x9"] * 8), where)
    yield Case(alert, Why.RESTART, restarts, 75)
    paused = of("leadscore_paused", f"1{FOREVER}", 'stage="match"')
    yield Case(alert, Why.OTHER, grows | paused, 60, ["LeadscoreStuck"], "a service is away")
    stopped = of("leadscore_stopped_partitions", f"1{FOREVER}", 'stage="match"')
    yield Case(alert, Why.OTHER, grows | stopped, 60, ["LeadscorePartitionsStopped"], "a partition is stopped")


def _counted(alert: str, counter: str, labels: str = "") -> Iterator[Case]:
    yield Case(alert, Why.FIRES, of(counter, "0x10 1x500", labels), 15, [alert])
    new = of(counter, "_x10 1x500", labels, OTHER_WORKER)
    yield Case(alert, Why.FIRES, new, 15, [alert], "counted before the first scrape")
    yield Case(alert, Why.OTHER, of(counter, "0x10 1x500", labels), 40, [], "long over")
    yield Case(alert, Why.JUST_BELOW, of(counter, f"0{FOREVER}", labels), 15)
    yield Case(alert, Why.RESTART, of(counter, "3x30 0x100", labels), 35)


def _state() -> Iterator[Case]:
    yield from _counted("LeadscoreStateLost", "leadscore_state_losses_total")
    yield from _counted("LeadscoreStateBehind", "leadscore_state_regressions_total")
    alert, evicted = "LeadscoreKeysEvicted", "leadscore_store_evicted_keys"
    yield Case(alert, Why.FIRES, of(evicted, "0x70 5x20"), 75, [alert])
    yield Case(alert, Why.JUST_BELOW, of(evicted, f"500{FOREVER}"), 75, [], "before there was a worker")
    yield Case(alert, Why.RESTART, of(evicted, "500x70 0x2 500x20"), 75)
    yield Case(alert, Why.OTHER, of(evicted, "500x70 0x20"), 75, [], "Redis was started again")
    policy = of("leadscore_store_errors_total", "0x10 1+1x90", 'kind="eviction"')
    yield Case(alert, Why.FIRES, policy, 15, [alert], "the policy was changed")


def _leaves() -> Iterator[Case]:
    alert, histogram = "LeadscoreLeavesLate", "leadscore_leave_lateness_seconds"
    yield Case(alert, Why.FIRES, _latencies(histogram, "0+10x100", "0+9x100", "300.0"), 90, [alert])
    just_above = _latencies(histogram, "0+1000x100", "0+989x100", "300.0")
    yield Case(alert, Why.FIRES, just_above, 90, [alert], "just above its limit")
    yield Case(alert, Why.JUST_BELOW, _latencies(histogram, "0+1000x100", "0+991x100", "300.0"), 90)
    yield Case(alert, Why.FEW, _latencies(histogram, "0+0.5x100", "0+0.4x100", "300.0"), 90)
    yield Case(alert, Why.RESTART, _latencies(histogram, "0+10x50 0+10x50", "0+10x50 0+10x50", "300.0"), 90)


def _processed(dead: str, matched: str) -> dict[str, str]:
    name = "leadscore_records_processed_total"
    series = of(name, dead, 'topic="web",outcome="dead_lettered"') | of(name, matched, 'topic="web",outcome="matched"')
    return series | of(name, f"0{FOREVER}", 'topic="web",outcome="given_up"')


def _books(consumed: str, processed: str, in_hand: str) -> dict[str, str]:
    topic = 'topic="web"'
    series = of("leadscore_records_consumed_total", consumed, topic)
    series |= of("leadscore_records_processed_total", processed, f'{topic},outcome="matched"')
    series |= of("leadscore_records_reread_total", f"0{FOREVER}", topic)
    return series | of("leadscore_records_in_hand", in_hand, topic)


def _inputs() -> Iterator[Case]:
    alert = "LeadscoreDeadLetterShareHigh"
    yield Case(alert, Why.FIRES, _processed("0+2x100", "0+98x100"), 20, [alert])
    yield Case(alert, Why.FIRES, _processed("0+1.1x100", "0+98.9x100"), 20, [alert], "just above its limit")
    yield Case(alert, Why.JUST_BELOW, _processed("0+0.9x100", "0+99.1x100"), 20)
    yield Case(alert, Why.FEW, _processed("0+0.5x100", "0+0.5x100"), 20)
    yield Case(alert, Why.RESTART, _processed("100x15 0x100", "1000+10x15 0+10x100"), 20)
    alert = "LeadscoreRecordsUnaccounted"
    idle = "0+100x30 3000x100"
    yield Case(alert, Why.FIRES, _books(idle, "0+100x29 2900x100", f"0{FOREVER}"), 60, [alert])
    yield Case(alert, Why.FIRES, _books(idle, "0+100x31 3100x100", f"0{FOREVER}"), 60, [alert], "counted twice")
    yield Case(alert, Why.JUST_BELOW, _books(idle, "0+100x29 2900x100", f"100{FOREVER}"), 60, [], "in hand")
    behind = _books("10+100x100", "0+100x100", f"0{FOREVER}")
    yield Case(alert, Why.JUST_BELOW, behind, 60, [], "under load, a second behind")
    peaks = _books(idle, idle, " ".join(["0 500"] * 50))
    yield Case(alert, Why.JUST_BELOW, peaks, 57, [], "counted at different times")
    yield Case(alert, Why.RESTART, _books("0+100x30 0+100x99", "0+100x30 0+100x99", f"0{FOREVER}"), 60)


def _services() -> Iterator[Case]:
    for alert, service in (("LeadscoreRedisDown", "redis"), ("LeadscoreKafkaDown", "kafka")):
        label = f'service="{service}"'
        yield Case(alert, Why.FIRES, of("leadscore_dependency_up", f"0{FOREVER}", label), 3, [alert])
        yield Case(alert, Why.JUST_BELOW, of("leadscore_dependency_up", "1 0x100", label), 1)
        yield Case(alert, Why.RESTART, of("leadscore_dependency_up", "1x20 0 1x100", label), 21)
    alert = "LeadscoreAccessRefused"
    yield from _counted(alert, "leadscore_kafka_errors_total", 'kind="authorization"')
    certificate = of("leadscore_kafka_errors_total", "0x10 1x90", 'kind="authentication"')
    yield Case(alert, Why.FIRES, certificate, 15, [alert], "a certificate")
    password = of("leadscore_store_errors_total", "0x10 1x90", 'kind="auth"')
    yield Case(alert, Why.FIRES, password, 15, [alert], "Redis")
    other = of("leadscore_kafka_errors_total", "0x10 1x90", 'kind="transport"')
    yield Case(alert, Why.OTHER, other, 15, [], "an error of another kind")


def _processes() -> Iterator[Case]:
    info, up = (f"{name}{{{WORKER}}}" for name in ("leadscore_build_info", "up"))
    absent, down, often = "LeadscoreAbsent", "LeadscoreWorkerDown", "LeadscoreRestartsOften"
    yield Case(absent, Why.FIRES, {info: "1x20 stale", up: "1x20 stale"}, 30, [absent])
    yield Case(absent, Why.MISSING, {info: f"_{FOREVER}", up: f"_{FOREVER}"}, 30, [absent], "which is what it is for")
    yield Case(absent, Why.JUST_BELOW, {info: "1x20 stale _x3 1x100"}, 24)
    other = of("leadscore_build_info", "_x20 1x100", worker=OTHER_WORKER)
    yield Case(absent, Why.RESTART, {info: "1x20 stale", up: "1x20 stale", **other}, 40)
    another_job = {'leadscore_build_info{job="second",instance="c"}': "1x20 stale"}
    yield Case(absent, Why.FIRES, another_job, 30, [absent], "one of two deployments")
    still_one = of("leadscore_build_info", "1x500", worker=OTHER_WORKER)
    yield Case(down, Why.FIRES, {info: "1x20 stale", up: "1x20 0x100", **still_one}, 30, [down])
    yield Case(down, Why.MISSING, {up: f"_{FOREVER}"}, 30)
    yield Case(down, Why.JUST_BELOW, {info: "1x20 stale _x3 1x100", up: "1x20 0x3 1x100", **still_one}, 24)
    yield Case(down, Why.RESTART, {info: "1x20 stale 1x100", up: "1x20 0 1x100"}, 30)
    yield Case(down, Why.OTHER, {'up{job="node",instance="n"}': f"0{FOREVER}"}, 30, [], "a target of others")
    starts = of("process_start_time_seconds", "0x5 1x5 2x5 3x5 4x50")
    yield Case(often, Why.FIRES, starts, 25, [often])
    yield Case(often, Why.JUST_BELOW, of("process_start_time_seconds", "0x5 1x5 2x5 3x50"), 25)
    yield Case(often, Why.RESTART, of("process_start_time_seconds", "0x5 1x500"), 25)
