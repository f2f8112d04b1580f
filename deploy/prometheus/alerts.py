"""The alerts. Pages are few, and about what users notice; causes are tickets, which tell where to look."""

from collections.abc import Iterator, Sequence

from deploy.prometheus.objectives import BURNS, DEPLOYMENT, FRESHNESS, LEAST_LATE, OBJECTIVES, PUBLISHING, Objective
from deploy.prometheus.recordings import DEAD_LETTER_MINUTES, LAG_SECONDS, UNACCOUNTED, dead_letter_share
from deploy.prometheus.rule import Alert, Severity
from deploy.prometheus.scale import MINUTES_PER_DAY, MINUTES_PER_HOUR, Scale

WHERE = "{{ $labels.job }}{{ with $labels.group }}/{{ . }}{{ end }}"
DEAD_LETTER_SHARE, LEAST_DEAD_LETTERS = 0.01, 10
LATE_LEAVE_S, LATE_LEAVE_SHARE, LEAST_LATE_LEAVES = 300, 0.01, 10
RESTARTS = 3
CONSEQUENCE = {
    FRESHNESS: "Scores and crossings are late. Records count from their Kafka timestamp until they are applied.",
    PUBLISHING: "Sales learn late who is ready, or not at all. Crossings count from their decision until they are "
    "acknowledged by Kafka.",
}


def all_alerts(scale: Scale) -> Iterator[Alert]:
    """Every alert, pages first."""
    alerts = [*_budget_alerts(scale), *_progress_alerts(scale), *_state_alerts(scale), *_leave_alerts(scale)]
    alerts += [*_input_alerts(scale), *_service_alerts(scale), *_process_alerts(scale)]
    return iter(sorted(alerts, key=lambda alert: alert.severity is not Severity.PAGE))


def _budget_alerts(scale: Scale) -> Iterator[Alert]:
    for objective in OBJECTIVES:
        for is_fast in (True, False):
            yield _budget_alert(objective, scale, is_fast=is_fast)


def _budget_alert(objective: Objective, scale: Scale, *, is_fast: bool) -> Alert:
    clauses = []
    for burn in BURNS:
        if burn.is_fast is is_fast:
            long, short = burn.windows(scale)
            limit = f"{burn.rate} * {objective.budget}"
            clauses.append(
                f"(\n  {objective.ratio(long)} > {limit}\n  and {objective.ratio(short)} > {limit}\n"
                f"  and {objective.increase(long)} >= {LEAST_LATE}\n)"
            )
    name = objective.name.capitalize()
    pace = "fast" if is_fast else "slowly"
    return Alert(
        f"Leadscore{name}BudgetBurns{pace.capitalize()}",
        Severity.PAGE if is_fast else Severity.TICKET,
        "\nor\n".join(clauses),
        scale.span(2 if is_fast else 15),
        f"{WHERE}: {{{{ $value | humanizePercentage }}}} miss the objective for {objective.name}",
        f"{objective.target:.1%} must be done within {objective.within_s:g} seconds, over 30 days. "
        f"{CONSEQUENCE[objective]}",
    )


def _progress_alerts(scale: Scale) -> Iterator[Alert]:
    waits, stands = scale.seconds(2), scale.span(5)
    oldest, last = (
        "leadscore_oldest_unprocessed_record_timestamp_seconds",
        "leadscore_last_record_processed_timestamp_seconds",
    )
    yield Alert(
        "LeadscoreStuck",
        Severity.PAGE,
        f"max by ({DEPLOYMENT}, stage) (\n"
        f"  (time() - ({oldest} > 0) > {waits}\n"
        f"   and time() - {last} > {waits}\n"
        f"   unless leadscore_stopped_partitions > 0)\n"
        "  or leadscore_paused == 1\n"
        ")\n"
        "or\n"
        f"max by ({DEPLOYMENT}) (max_over_time(leadscore_assigned_partitions[{stands}])) == 0\n"
        "or\n" + _stage_without_owner(scale),
        stands,
        f"{WHERE}: nothing is {{{{ if eq $labels.stage `match` }}}}matched{{{{ else }}}}scored{{{{ end }}}}",
        "Records wait and none is finished, a stage waits for a service that does not answer, or no worker owns a "
        "partition of a stage.",
    )
    yield Alert(
        "LeadscorePartitionsStopped",
        Severity.PAGE,
        f"sum by ({DEPLOYMENT}, stage) (leadscore_stopped_partitions) > 0",
        scale.span(2),
        f"{WHERE}: {{{{ $value }}}} partitions of {{{{ $labels.stage }}}} are stopped",
        "Their records wait until an operator decides. The others go on.",
    )
    yield Alert(
        "LeadscoreLagGrows",
        Severity.TICKET,
        f"{LAG_SECONDS} > {scale.seconds(1)}\nand delta({LAG_SECONDS}[{scale.span(10)}]) > 0\n"
        f"unless on ({DEPLOYMENT}) (leadscore_paused == 1 or leadscore_stopped_partitions > 0)",
        scale.span(15),
        f"{WHERE}: the lag on {{{{ $labels.topic }}}} is {{{{ $value | humanizeDuration }}}} and grows",
        "The workers run and do not keep up with what arrives.",
        keeps_firing=scale.span(10),
    )


def _stage_without_owner(scale: Scale) -> str:
    """Where each stage is a process of its own, the workers of one may all be gone while those of the other go on."""
    owned = "leadscore_assigned_partitions"
    return (
        f"(\n  group by ({DEPLOYMENT}, stage) (max_over_time({owned}[{scale.span(MINUTES_PER_DAY)}]) > 0)\n"
        f"  unless group by ({DEPLOYMENT}, stage) ({owned} > 0)\n"
        f"  and on ({DEPLOYMENT}) leadscore_build_info\n)"
    )


def _state_alerts(scale: Scale) -> Iterator[Alert]:
    yield Alert(
        "LeadscoreStateLost",
        Severity.TICKET,
        _counted(scale, ["leadscore_state_losses_total"], DEPLOYMENT),
        "0s",
        f"{WHERE}: Redis has lost the whole state of {{{{ $value | humanize }}}} shards",
        "They are stopped, which pages by itself, or are rebuilt from the award log, as LEADSCORE_ON_STATE_LOSS says.",
    )
    yield Alert(
        "LeadscoreStateBehind",
        Severity.TICKET,
        _counted(scale, ["leadscore_state_regressions_total"], DEPLOYMENT),
        "0s",
        f"{WHERE}: Redis has lost the latest writes of {{{{ $value | humanize }}}} shards",
        "The workers replay them from the award log by themselves. That Redis loses what it acknowledged has a cause.",
    )
    window, before = scale.span(15), scale.span(MINUTES_PER_HOUR)
    evicted = "leadscore_store_evicted_keys"
    yield Alert(
        "LeadscoreKeysEvicted",
        Severity.TICKET,
        f"max by ({DEPLOYMENT}) ({evicted})\n"
        f"> max by ({DEPLOYMENT}) (max_over_time({evicted}[{before}] offset {window}))\n"
        "or\n" + _counted(scale, ['leadscore_store_errors_total{kind="eviction"}'], DEPLOYMENT),
        "0s",
        f"{WHERE}: Redis evicts keys, or is set to do so",
        "Leads may be gone without an error. Redis must have maxmemory-policy noeviction.",
    )


def _leave_alerts(scale: Scale) -> Iterator[Alert]:
    lateness, window = "leadscore_leave_lateness_seconds", scale.span(MINUTES_PER_HOUR)
    leaves, in_time = (
        f"sum by ({DEPLOYMENT}) (increase({lateness}_{part}[{window}]))"
        for part in ("count", f'bucket{{le="{float(LATE_LEAVE_S)}"}}')
    )
    yield Alert(
        "LeadscoreLeavesLate",
        Severity.TICKET,
        f"({leaves} - {in_time})\n/ {leaves} > {LATE_LEAVE_SHARE}\nand ({leaves} - {in_time}) >= {LEAST_LATE_LEAVES}",
        scale.span(5),
        f"{WHERE}: {{{{ $value | humanizePercentage }}}} of the leaves by time are late",
        f"Leads whose score decayed below the exit level left more than {LATE_LEAVE_S // 60} minutes after they "
        "should have.",
    )


def _input_alerts(scale: Scale) -> Iterator[Alert]:
    window = scale.span(DEAD_LETTER_MINUTES)
    dead = f'sum by ({DEPLOYMENT}) (increase(leadscore_records_processed_total{{outcome="dead_lettered"}}[{window}]))'
    yield Alert(
        "LeadscoreDeadLetterShareHigh",
        Severity.TICKET,
        f"{dead_letter_share(scale)} > {DEAD_LETTER_SHARE}\nand {dead} >= {LEAST_DEAD_LETTERS}",
        scale.span(1),
        f"{WHERE}: {{{{ $value | humanizePercentage }}}} of the records become dead letters",
        "They cannot be read as events and earn no points until they are sent again.",
    )
    yield Alert(
        "LeadscoreRecordsUnaccounted",
        Severity.TICKET,
        f"min_over_time(abs({UNACCOUNTED})[{window}:{scale.span(1)}])\n"
        "> 10 * sum by (job, group, instance, topic) "
        f"(rate(leadscore_records_consumed_total[{window}]))",
        scale.span(5),
        f"{WHERE}: {{{{ $value }}}} records of {{{{ $labels.topic }}}} are unaccounted for",
        "What was read is neither processed nor in hand nor read again: records are lost or counted twice, or a "
        "counter is wrong.",
    )


def _service_alerts(scale: Scale) -> Iterator[Alert]:
    for service, page in (("Redis", "redis"), ("Kafka", "kafka")):
        yield Alert(
            f"Leadscore{service}Down",
            Severity.TICKET,
            f'count by ({DEPLOYMENT}) (leadscore_dependency_up{{service="{page}"}} == 0)',
            scale.span(1),
            f"{WHERE}: {service} does not answer {{{{ $value }}}} workers",
            "They wait and go on by themselves. LeadscoreStuck pages when it lasts.",
        )
    refused = [
        'leadscore_kafka_errors_total{kind=~"authentication|authorization"}',
        'leadscore_store_errors_total{kind="auth"}',
    ]
    yield Alert(
        "LeadscoreAccessRefused",
        Severity.TICKET,
        _counted(scale, refused, f"{DEPLOYMENT}, kind"),
        "0s",
        f"{WHERE}: Kafka or Redis refuses access ({{{{ $labels.kind }}}})",
        "A password, a certificate or a right is missing or no longer valid.",
    )


def _process_alerts(scale: Scale) -> Iterator[Alert]:
    day, half_hour = scale.span(MINUTES_PER_DAY), scale.span(30)
    yield Alert(
        "LeadscoreAbsent",
        Severity.PAGE,
        f"absent(max_over_time(leadscore_build_info[{day}]))\n"
        "or\n"
        f"(\n  group by ({DEPLOYMENT}) (max_over_time(leadscore_build_info[{day}]))\n"
        f"  unless group by ({DEPLOYMENT}) (leadscore_build_info)\n)",
        scale.span(5),
        "{{ if $labels.job }}" + WHERE + "{{ else }}leadscore{{ end }}: no worker is scraped",
        "No worker of the deployment runs, or Prometheus does not find them.",
    )
    yield Alert(
        "LeadscoreWorkerDown",
        Severity.TICKET,
        f"max by ({DEPLOYMENT}, instance) (\n"
        f"  up == 0 and on (job, instance) max_over_time(leadscore_build_info[{day}])\n)",
        scale.span(5),
        f"{WHERE}: {{{{ $labels.instance }}}} does not answer Prometheus",
        "It has ended or hangs. The other workers have taken its partitions over.",
    )
    yield Alert(
        "LeadscoreRestartsOften",
        Severity.TICKET,
        f"max by ({DEPLOYMENT}, instance) (\n"
        f"  changes(process_start_time_seconds[{half_hour}])\n"
        f"  and on (job, instance) max_over_time(leadscore_build_info[{half_hour}])\n) > {RESTARTS}",
        "0s",
        f"{WHERE}: {{{{ $labels.instance }}}} was started {{{{ $value }}}} times in half an hour",
        "The worker ends again and again; its last log line says why.",
    )


def _counted(scale: Scale, counters: Sequence[str], labels: str) -> str:
    """What was counted lately.

    A process that is new may have counted before it was first scraped, which no rate shows: its counters are taken
    whole.
    """
    window = scale.span(15)
    parts = [
        f"  ({counter} unless {counter} offset {window})\n  or increase({counter}[{window}])" for counter in counters
    ]
    return f"sum by ({labels}) (\n" + "\n  or\n".join(parts) + "\n) > 0"
