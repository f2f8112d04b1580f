"""The files that a worker reads: the model and the mappings, as the worker itself reads them at its start."""

from collections.abc import Generator

from leadscore.cli.checkup.findings import Finding, Findings, ok, problem, refused, unless_wrong
from leadscore.errors import LeadscoreError
from leadscore.mapping.load import load_mappings
from leadscore.mapping.topics import key_problem
from leadscore.model.definition import ModelDefinition
from leadscore.model.phrases import counted
from leadscore.ops.choices import Role
from leadscore.ops.config import Config
from leadscore.pipeline.files import check_mappings, read_model

MODEL, MAPPINGS = "model", "mappings"


def files(config: Config) -> Generator[Finding, None, ModelDefinition | None]:
    """The model and the mappings; a worker that only scores reads neither. Returns the model, where it is right."""
    if config.role is Role.SCORE:
        yield ok(MODEL, "a worker that only scores reads the models topic, and no file")
        return None
    definition = yield from _model(config)
    yield from unless_wrong(
        MAPPINGS, _mappings(config), "Correct the file; `leadscore check --mappings FILE` checks it alone."
    )
    return definition


def _model(config: Config) -> Generator[Finding, None, ModelDefinition | None]:
    try:
        definition = read_model(config).definition
    except LeadscoreError as error:
        advice = "Correct the file; `leadscore check --model FILE` shows what it says in words."
        yield from refused(MODEL, error, advice)
        return None
    rules = counted(len(definition.rules), "rule")
    yield ok(MODEL, f"{config.model}: {definition.model}, version {definition.version}: {rules}")
    return definition


def _mappings(config: Config) -> Findings:
    if config.mappings is None:
        return
    check_mappings(config)
    mappings = load_mappings(config.mappings)
    wrong_key = key_problem(mappings, config.lead_id_key)
    if wrong_key is not None:
        yield problem(
            MAPPINGS, wrong_key, "Write a secret into a file and name that file; keep it, or lead ids change."
        )
    else:
        yield ok(MAPPINGS, f"{config.mappings}: {len(mappings)} topics mapped")
