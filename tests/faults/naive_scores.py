"""What the naive worker has made of its events, and what the judge says of that."""

from tests.deployment import LASTING_MODEL, Deployment, now_ms
from tests.faults.inputs import Inputs, read_inputs
from tests.faults.judge import Scores, plain_model, wrong_scores
from tests.faults.naive_worker import KEY
from tests.faults.report import Figures

UNDECAYED_MODEL = {**LASTING_MODEL, "decay": "none"}
"""Its scores are plain sums, as the naive worker has them."""


def assert_caught(deployment: Deployment, figures: Figures) -> None:
    """The scores of the naive worker are not those of the events."""
    inputs, wrong = wrong_of_naive(deployment)
    figures.events, figures.leads, figures.violations = len(inputs.events), len(inputs.by_lead()), len(wrong)
    assert wrong


def wrong_of_naive(deployment: Deployment) -> tuple[Inputs, list[str]]:
    """What went in, and what the judge says of the scores."""
    inputs = read_inputs(deployment)
    return inputs, list(wrong_scores(plain_model(deployment), inputs.by_lead(), naive_scores(deployment)))


def naive_lag(deployment: Deployment) -> int:
    return deployment._lag(f"{deployment.name}-naive", ["website", "email", "webinar", "profiles"])


def naive_scores(deployment: Deployment) -> Scores:
    with deployment._redis() as client:
        keys = client.keys(f"{KEY}*")
        scores = {key.decode().removeprefix(KEY): float(client.get(key) or 0) for key in keys}
    return Scores(scores, now_ms())
