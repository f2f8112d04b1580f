"""What both dashboards share: the variables, and expressions over the deployments that they choose."""

from deploy.grafana.panel import Query, Variable

SELECTED = 'job=~"$job",group=~"$group"'
RATE = "$__rate_interval"
DEPLOYMENT_VARIABLES = (
    Variable("model", "Model", "label_values(leadscore_model_info, model)"),
    Variable("job", "Job", 'label_values(leadscore_model_info{model=~"$model"}, job)'),
    Variable("group", "Group", 'label_values(leadscore_model_info{model=~"$model",job=~"$job"}, group)'),
)
OF_INSTANCE = 'instance=~"$instance"'
"""Further condition of what is shown of each process."""
INSTANCE_VARIABLE = Variable(
    "instance", "Instance", 'label_values(leadscore_build_info{job=~"$job",group=~"$group"}, instance)'
)
QUANTILES = (0.5, 0.95, 0.99)


def selected(metric: str, *labels: str) -> str:
    """The series of a metric of the chosen deployments; ``labels`` are further conditions."""
    return f"{metric}{{{','.join([SELECTED, *labels])}}}"


def rate(metric: str, by: str, *labels: str) -> str:
    """How often a counter counts in a second."""
    return f"sum by ({by}) (rate({selected(metric, *labels)}[{RATE}]))"


def increase(metric: str, by: str, *labels: str, window: str = "$__range") -> str:
    """How much a counter has counted; of the whole time that is shown unless told otherwise."""
    grouping = f"sum by ({by}) " if by else "sum"
    return f"{grouping}(increase({selected(metric, *labels)}[{window}]))"


def rates(metric: str, by: str, *labels: str) -> list[Query]:
    """One line for each value of a label."""
    return [Query(rate(metric, by, *labels), " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(",")))]


def quantiles(histogram: str, *labels: str, window: str = RATE) -> list[Query]:
    """How long half of all takes at most, and how long nearly all."""
    return [
        Query(quantile(histogram, share, "", *labels, window=window), f"{share:.0%} take at most")
        for share in QUANTILES
    ]


def quantile(histogram: str, share: float, by: str, *labels: str, window: str = RATE) -> str:
    """The least value that this share does not exceed, by label."""
    grouping = ", ".join(filter(None, ["le", by]))
    buckets = f"sum by ({grouping}) (rate({selected(f'{histogram}_bucket', *labels)}[{window}]))"
    return f"histogram_quantile({share}, {buckets})"


def share_in_time(histogram: str, within_s: float) -> str:
    """Of all in the time that is shown, the share that was in time; ``within_s`` is a bucket boundary."""
    in_time = increase(f"{histogram}_bucket", "", f'le="{float(within_s)}"')
    return f"{in_time} / {increase(f'{histogram}_count', '')}"
