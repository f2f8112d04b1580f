"""The recording rules: what several alerts and panels ask for."""

from collections.abc import Iterator

from deploy.prometheus.objectives import BURNS, DEPLOYMENT, OBJECTIVES, Objective
from deploy.prometheus.rule import Recording
from deploy.prometheus.scale import Scale

ACCOUNTS = "job, group, instance, topic"
"""The sums of docs/metrics.md hold for every topic of every process."""
UNACCOUNTED = "job_group_instance_topic:leadscore_records_unaccounted:sum"
LAG_RECORDS = "job_group_topic:leadscore_consumer_lag_records:sum"
LAG_SECONDS = "job_group_topic:leadscore_consumer_lag_seconds:max"
DEAD_LETTER_MINUTES = 15


def objective_recordings(scale: Scale) -> Iterator[Recording]:
    """Of each objective the share that was late over every window, and how many that were over the long ones."""
    for objective in OBJECTIVES:
        yield from _of(objective, scale)


def _of(objective: Objective, scale: Scale) -> Iterator[Recording]:
    minutes = {length for burn in BURNS for length in (burn.long_minutes, burn.short_minutes)}
    for window in map(scale.span, sorted(minutes)):
        late, everything = objective.late_of("rate", window), objective.all_of("rate", window)
        yield Recording(objective.ratio(window), f"{late}\n/\n{everything}")
    for burn in BURNS:
        window, _ = burn.windows(scale)
        yield Recording(objective.increase(window), objective.late_of("increase", window))


def dead_letter_share(scale: Scale) -> str:
    """The name of the recording rule."""
    return f"job_group:leadscore_dead_letters:ratio_rate{scale.span(DEAD_LETTER_MINUTES)}"


def other_recordings(scale: Scale) -> Iterator[Recording]:
    """Dead letters, lag, and records that the counters do not account for."""
    window = scale.span(DEAD_LETTER_MINUTES)
    dead = f'leadscore_records_processed_total{{outcome="dead_lettered"}}[{window}]'
    # Records that were given up are processed again by the worker that owns them next.
    finished = f'leadscore_records_processed_total{{outcome!="given_up"}}[{window}]'
    yield Recording(
        dead_letter_share(scale), f"sum by ({DEPLOYMENT}) (rate({dead}))\n/\nsum by ({DEPLOYMENT}) (rate({finished}))"
    )
    yield Recording(LAG_RECORDS, f"sum by ({DEPLOYMENT}, topic) (leadscore_consumer_lag_records)")
    yield Recording(LAG_SECONDS, f"max by ({DEPLOYMENT}, topic) (leadscore_consumer_lag_seconds)")
    yield Recording(
        UNACCOUNTED,
        f"sum by ({ACCOUNTS}) (leadscore_records_consumed_total)\n"
        f"- sum by ({ACCOUNTS}) (leadscore_records_processed_total)\n"
        f"- sum by ({ACCOUNTS}) (leadscore_records_reread_total)\n"
        f"- sum by ({ACCOUNTS}) (leadscore_records_in_hand)",
    )
