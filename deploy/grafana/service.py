"""*leadscore: service*, for those who run it: the promise first, then where it breaks."""

from collections.abc import Iterator

from deploy.grafana.panel import Dashboard, Kind, Panel, Query, Row, Unit
from deploy.grafana.selection import (
    DEPLOYMENT_VARIABLES,
    INSTANCE_VARIABLE,
    OF_INSTANCE,
    RATE,
    increase,
    quantile,
    quantiles,
    rate,
    rates,
    selected,
    share_in_time,
)
from deploy.prometheus.objectives import FRESHNESS, OBJECTIVES, PUBLISHING, Objective
from deploy.prometheus.recordings import LAG_RECORDS, LAG_SECONDS, UNACCOUNTED

FIRING = 'ALERTS{alertname=~"Leadscore.*",alertstate="firing"}'
DURATION = "leadscore_stage_duration_seconds"
DEAD_LETTER_SHARE = selected("job_group:leadscore_dead_letters:ratio_rate15m")
OF_WORKERS = f" and on (job, instance) {selected('leadscore_build_info', OF_INSTANCE)}"


def _objective_number(objective: Objective, what: str) -> Panel:
    return Panel(
        f"{objective.name.capitalize()}",
        f"Share of {what} within {objective.within_s:g} seconds, over the time shown. The objective is "
        f"{objective.target:.1%} over 30 days.",
        Unit.RATIO,
        [Query(share_in_time(objective.histogram, objective.within_s))],
        Kind.NUMBER,
        width=6,
        limit=objective.target,
        is_better_above=True,
    )


def _burn_rates() -> Iterator[Query]:
    for objective in OBJECTIVES:
        yield Query(
            f"{selected(objective.ratio('1h'))} / {objective.budget}", f"{objective.name} {{{{job}}}} {{{{group}}}}"
        )


def _age_of_oldest() -> str:
    oldest = selected("leadscore_oldest_unprocessed_record_timestamp_seconds")
    return f"(time() - {oldest}) * ({oldest} > bool 0)"


PROMISE = Row(
    "Promise",
    [
        _objective_number(FRESHNESS, "records that were applied, from their Kafka timestamp,"),
        _objective_number(PUBLISHING, "crossings that were acknowledged, from their decision,"),
        Panel(
            "Alerts that fire",
            "All alerts of leadscore in this data source. Each has a page in docs/runbooks.",
            Unit.COUNT,
            [Query(f"count({FIRING}) or vector(0)")],
            Kind.NUMBER,
            width=6,
            limit=1,
        ),
        Panel(
            "Stopped partitions",
            "They wait for an operator's decision, and their records with them.",
            Unit.COUNT,
            [Query(f"sum({selected('leadscore_stopped_partitions')})")],
            Kind.NUMBER,
            width=6,
            limit=1,
        ),
        Panel(
            "From record to crossing",
            "From the Kafka timestamp of the record that caused a crossing until Kafka acknowledged the crossing: "
            "what sales waits for.",
            Unit.SECONDS,
            quantiles("leadscore_record_to_crossing_seconds"),
            width=12,
        ),
        Panel(
            "Burn rate",
            "How many times faster than allowed the error budget of 30 days is spent, over the last hour. At 14.4 "
            "it is gone in two days, and a page goes out.",
            Unit.COUNT,
            list(_burn_rates()),
            width=12,
        ),
    ],
)


THROUGHPUT = Row(
    "Throughput",
    [
        Panel(
            "Records read",
            "Source records by topic.",
            Unit.RATE,
            rates("leadscore_records_consumed_total", "topic"),
        ),
        Panel(
            "Records by outcome",
            "What became of them: matched, ignored by the model, dead letters, given up to another worker.",
            Unit.RATE,
            rates("leadscore_records_processed_total", "outcome"),
        ),
        Panel(
            "Awards by outcome",
            "What the award log gave the score stage. Skipped replays follow a crash or a loss of Redis's writes.",
            Unit.RATE,
            rates("leadscore_awards_total", "outcome"),
        ),
        Panel(
            "Crossings published",
            "Leads that entered or left a threshold.",
            Unit.RATE,
            rates("leadscore_crossings_published_total", "threshold, direction"),
        ),
        Panel(
            "Records produced",
            "Frames, ticks, crossings, dead letters and scores that were handed to Kafka's client.",
            Unit.RATE,
            rates("leadscore_publish_attempts_total", "kind"),
        ),
        Panel(
            "In hand",
            "Source records that are read and not processed yet.",
            Unit.COUNT,
            [Query(f"sum by (topic) ({selected('leadscore_records_in_hand')})", "{{topic}}")],
        ),
    ],
)


LATENCY = Row(
    "Latency",
    [
        Panel(
            "From record to decision",
            "From a record's Kafka timestamp until it is applied. This is what the objective for freshness counts.",
            Unit.SECONDS,
            quantiles(FRESHNESS.histogram),
        ),
        Panel(
            "From decision to publication",
            "From the log's time of a crossing until Kafka acknowledged it: the worker's own last step.",
            Unit.SECONDS,
            quantiles(PUBLISHING.histogram),
        ),
        Panel(
            "From event to decision",
            "From when an event occurred until it is applied. What it has more than the panels beside it is spent "
            "before Kafka.",
            Unit.SECONDS,
            quantiles("leadscore_event_to_decision_seconds"),
        ),
        *(
            Panel(
                f"Where the {stage} stage spends its time",
                "Seconds per second in each step, of the chosen instances together.",
                Unit.RATIO,
                rates(f"{DURATION}_sum", "step", f'stage="{stage}"', OF_INSTANCE),
            )
            for stage in ("match", "score")
        ),
        Panel(
            "Lateness of leaves by time",
            "How much later than due a lead left a threshold because its score decayed.",
            Unit.SECONDS,
            quantiles("leadscore_leave_lateness_seconds"),
        ),
    ],
)


LAG = Row(
    "Lag",
    [
        Panel(
            "Lag in seconds",
            "Age of the oldest record that is not committed, by topic.",
            Unit.SECONDS,
            [Query(selected(LAG_SECONDS), "{{topic}}")],
        ),
        Panel(
            "Lag in records",
            "Newest offset minus committed offset, by topic.",
            Unit.COUNT,
            [Query(selected(LAG_RECORDS), "{{topic}}")],
        ),
        Panel(
            "Oldest unprocessed record",
            "How old the oldest record is that waits in a stage; nothing where none waits.",
            Unit.SECONDS,
            [Query(f"max by (stage) ({_age_of_oldest()})", "{{stage}}")],
        ),
        Panel(
            "Assigned partitions",
            "Partitions that the workers own. All are owned when the sum is that of the topics.",
            Unit.COUNT,
            [Query(f"sum by (stage) ({selected('leadscore_assigned_partitions')})", "{{stage}}")],
        ),
        Panel(
            "Rebalances",
            "Partitions that were assigned, revoked or lost. Those that are lost belonged to a worker that was "
            "away for too long.",
            Unit.COUNT,
            [Query(increase("leadscore_rebalances_total", "stage, kind", window=RATE), "{{stage}} {{kind}}")],
        ),
        Panel(
            "Commits",
            "Commits of offsets in a second, and those that failed.",
            Unit.RATE,
            [
                Query(rate("leadscore_commits_total", "stage"), "{{stage}}"),
                Query(rate("leadscore_commit_failures_total", "stage"), "{{stage}} failed"),
            ],
        ),
    ],
)


REDIS = Row(
    "Redis",
    [
        Panel("Calls", "Round trips, by what they do.", Unit.RATE, rates("leadscore_store_calls_total", "call")),
        Panel(
            "Duration of a call",
            "As the worker sees it: 99 % take no longer.",
            Unit.SECONDS,
            [Query(quantile("leadscore_store_call_duration_seconds", 0.99, "call"), "{{call}}")],
        ),
        Panel(
            "Time in the script",
            "Seconds per second that Redis spends in the worker's script. Redis has one thread: near 1 it is the "
            "bottleneck.",
            Unit.RATIO,
            [Query(f"max(rate({selected('leadscore_store_script_seconds_total')}[{RATE}]))", "script")],
            limit=0.7,
        ),
        Panel(
            "Errors",
            "Failed calls by kind; docs/errors.md says what the worker does about each.",
            Unit.RATE,
            rates("leadscore_store_errors_total", "kind"),
        ),
        Panel(
            "Evicted keys",
            "Keys that Redis has evicted since it was started. Any at all may be leads.",
            Unit.COUNT,
            [Query(f"max({selected('leadscore_store_evicted_keys')})", "evicted")],
            limit=1,
        ),
        Panel(
            "Waiting for a service",
            "1 while a stage waits for Kafka, Redis or the schema registry.",
            Unit.COUNT,
            [Query(f"max by (stage) ({selected('leadscore_paused')})", "{{stage}}")],
        ),
    ],
)


RECONCILIATION = Row(
    "Reconciliation",
    [
        Panel(
            "Shards by result",
            "Comparisons of the state in Redis with the committed offset. Behind, rebuild and stopped mean that "
            "Redis lost writes.",
            Unit.COUNT,
            [Query(increase("leadscore_reconciliations_total", "result", window=RATE), "{{result}}")],
        ),
        Panel(
            "Lost state",
            "Shards found behind the committed offset, and shards whose state was gone altogether.",
            Unit.COUNT,
            [
                Query(increase("leadscore_state_regressions_total", "", window=RATE), "behind"),
                Query(increase("leadscore_state_losses_total", "", window=RATE), "gone"),
            ],
        ),
        Panel(
            "Read again",
            "Records and awards that were read a second time, and changed nothing.",
            Unit.RATE,
            [
                Query(rate("leadscore_records_reread_total", "topic"), "records of {{topic}}"),
                Query(rate("leadscore_awards_total", "outcome", 'outcome="skipped_replay"'), "awards"),
            ],
        ),
        Panel(
            "Unaccounted records",
            "Records read, minus those processed, read again and in hand: 0 whenever nothing moves.",
            Unit.COUNT,
            [Query(f"sum by (topic) ({selected(UNACCOUNTED)})", "{{topic}}")],
        ),
        Panel(
            "Outbox",
            "Log records whose crossings are stored in Redis, to be published again after a crash.",
            Unit.COUNT,
            [Query(f"sum({selected('leadscore_outbox_entries')})", "entries")],
        ),
        Panel(
            "Merges",
            "Leads that became aliases of another, and what went on to the other id.",
            Unit.RATE,
            [
                Query(f"sum(rate({selected('leadscore_merges_total')}[{RATE}]))", "merges"),
                Query(rate("leadscore_forwards_published_total", "kind"), "{{kind}}"),
            ],
        ),
    ],
)


DEAD_LETTERS = Row(
    "Dead letters",
    [
        Panel(
            "By reason",
            "Records that can never be read.",
            Unit.RATE,
            rates("leadscore_dead_letters_total", "reason"),
        ),
        Panel(
            "Share of the records",
            "Over 15 minutes. Above 1 % there is a ticket; a topic with too many stops.",
            Unit.RATIO,
            [Query(DEAD_LETTER_SHARE, "{{job}} {{group}}")],
            limit=0.01,
        ),
        Panel(
            "Fields left out",
            "Fields that could not be understood; their events count without them.",
            Unit.RATE,
            rates("leadscore_fields_left_out_total", "kind"),
        ),
    ],
)


KAFKA = Row(
    "Kafka",
    [
        Panel(
            "Errors",
            "What Kafka's clients reported, by kind; docs/errors.md says what the worker does about each.",
            Unit.RATE,
            rates("leadscore_kafka_errors_total", "kind"),
        ),
        Panel(
            "Records refused",
            "Records that Kafka or its client refused, and that were not stored.",
            Unit.RATE,
            rates("leadscore_publish_failures_total", "kind"),
        ),
        Panel(
            "Services that answer",
            "The workers that reach Kafka and Redis.",
            Unit.COUNT,
            [Query(f"sum by (service) ({selected('leadscore_dependency_up')})", "{{service}}")],
        ),
        Panel(
            "Transactions",
            "Those of transactional delivery and of the scores topic, by result.",
            Unit.RATE,
            rates("leadscore_transactions_total", "result"),
        ),
        Panel(
            "Partitions held back",
            "Source partitions that were paused because they were far ahead of others in time.",
            Unit.COUNT,
            [Query(increase("leadscore_alignment_pauses_total", "", window=RATE), "pauses")],
        ),
        Panel(
            "Schema registry",
            "Requests, and those that got no usable answer.",
            Unit.RATE,
            [
                Query(f"sum(rate({selected('leadscore_schema_registry_requests_total')}[{RATE}]))", "requests"),
                Query(f"sum(rate({selected('leadscore_schema_registry_errors_total')}[{RATE}]))", "errors"),
            ],
        ),
    ],
)


PROCESSES = Row(
    "Processes",
    [
        Panel(
            "CPU",
            "Cores that each of the chosen instances uses.",
            Unit.NONE,
            [Query(f"rate(process_cpu_seconds_total[{RATE}]){OF_WORKERS}", "{{instance}}")],
            width=6,
        ),
        Panel(
            "Memory",
            "Resident memory of each of the chosen instances.",
            Unit.BYTES,
            [Query(f"process_resident_memory_bytes{OF_WORKERS}", "{{instance}}")],
            width=6,
        ),
        Panel(
            "Age",
            "Seconds since each of the chosen instances was started.",
            Unit.SECONDS,
            [Query(f"time() - process_start_time_seconds{OF_WORKERS}", "{{instance}}")],
            width=6,
        ),
        Panel(
            "Log lines",
            "By level, of the chosen instances together.",
            Unit.RATE,
            rates("leadscore_log_messages_total", "level", OF_INSTANCE),
            width=6,
        ),
    ],
)


def service_dashboard() -> Dashboard:
    """All of it."""
    return Dashboard(
        "service",
        "leadscore: service",
        "Whether leadscore keeps its promise, and if not, where it breaks. docs/monitoring.md explains it.",
        [*DEPLOYMENT_VARIABLES, INSTANCE_VARIABLE],
        [PROMISE, THROUGHPUT, LATENCY, LAG, REDIS, RECONCILIATION, DEAD_LETTERS, KAFKA, PROCESSES],
    )
