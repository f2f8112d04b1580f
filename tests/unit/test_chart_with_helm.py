"""The Helm chart, rendered by Helm: ``make chart``. What is not installed of Helm and kubeconform is built with Go."""

import json
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from leadscore.ops.config import load_config
from tests.chart import (
    CHART,
    CUSTOM_RESOURCES,
    EXAMPLE,
    EXAMPLE_VALUES,
    HELM,
    KUBECONFORM,
    KUBERNETES,
    documents,
    first_line,
    go_program,
    problems_of,
    rendered,
    run_helm,
)
from tests.conftest import asking_for

pytestmark = [pytest.mark.full, pytest.mark.timeout(3_600)]

NEEDS_HELM = "needs helm and kubeconform"
REQUIRED = {"kafka.bootstrapServers": "kafka:9092", "redis.url": "redis://redis:6379/0", "model.text": "model: acme"}
EVERYTHING = {
    "topics.create": "true",
    "keda.enabled": "true",
    "keda.authentication": "kafka",
    "keda.metadata.sasl": "scram_sha512",
    "podMonitor.enabled": "true",
    "prometheusRule.enabled": "true",
    "dashboards.enabled": "true",
    "mappings.configMap": "mappings",
    "files.redis.secret": "redis-ca",
    "image.pullSecrets[0].name": "registry",
    "priorityClassName": "high",
    "networkPolicy.scrapeFrom[0].namespaceSelector.matchLabels.name": "monitoring",
    "podLabels.team": "growth",
    "serviceAccount.annotations.role": "growth",
}
KUBERNETES_KINDS = (
    "configmap-v1",
    "deployment-apps-v1",
    "job-batch-v1",
    "networkpolicy-networking-v1",
    "poddisruptionbudget-policy-v1",
    "serviceaccount-v1",
    "statefulset-apps-v1",
)
VARIANTS: dict[str, dict[str, str]] = {
    "least": {},
    "most": EVERYTHING,
    "match": {"settings.LEADSCORE_ROLE": "match", "keda.enabled": "true"},
    "score": {"settings.LEADSCORE_ROLE": "score", "keda.enabled": "true", "model.text": ""},
    "stable": {"stableNames": "true", "keda.enabled": "true"},
    "patient": {"drainTimeoutS": "1700", "startTimeoutS": "600", "settings.LEADSCORE_HTTP_HOST": "::"},
}


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    with asking_for(NEEDS_HELM):
        go_program(HELM)
        go_program(KUBECONFORM)


def variant(name: str) -> list[dict[str, Any]]:
    return documents(rendered(settings=REQUIRED | VARIANTS[name]))


def test_the_example_in_the_repository_is_what_helm_renders() -> None:
    assert EXAMPLE.read_text() == first_line() + rendered([EXAMPLE_VALUES])


def test_helm_lints_the_chart() -> None:
    run = run_helm("lint", "--strict", str(CHART), "--values", str(EXAMPLE_VALUES))
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_valid_by_the_schemas_of_its_kinds(name: str) -> None:
    made = variant(name)
    assert [problem for document in made for problem in problems_of(document)] == []
    kinds = {document["kind"] for document in made}
    assert {"PodDisruptionBudget", "NetworkPolicy"} <= kinds
    assert len(kinds & {"Deployment", "StatefulSet"}) == 1


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The strict schemas of Kubernetes' own kinds, each file with all that it refers to."""
    packed = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{KUBERNETES}.0-local-strict"
    definitions = json.loads(inlined((packed / "_definitions.json").read_text()))["$defs"]
    folder = tmp_path_factory.mktemp("schemas")
    for name in KUBERNETES_KINDS:
        schema = json.loads(inlined((packed / f"{name}.json").read_text()))
        (folder / f"{name}.json").write_text(json.dumps(schema | {"$defs": definitions}))
    return folder


def inlined(text: str) -> str:
    return text.replace('"/api/_definitions.json#', '"#')


@pytest.mark.parametrize("name", VARIANTS)
def test_kubeconform_finds_every_variant_valid(name: str, schemas: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(rendered(settings=REQUIRED | VARIANTS[name]))
    location = f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    skipped = ",".join(CUSTOM_RESOURCES)
    command = [str(go_program(KUBECONFORM)), "-summary", "-skip", skipped, "-schema-location", location]
    run = subprocess.run([*command, str(manifest)], capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Invalid: 0, Errors: 0" in run.stdout


@pytest.mark.parametrize("name", ["match", "score"])
def test_a_process_per_stage_has_its_own_group_only(name: str) -> None:
    made = {document["kind"]: document for document in variant(name)}
    [trigger] = made["ScaledObject"]["spec"]["triggers"]
    assert trigger["metadata"]["consumerGroup"] == f"leadscore-{name}"
    [container] = made["Deployment"]["spec"]["template"]["spec"]["containers"]
    environment = {variable["name"]: variable.get("value", "pod-0") for variable in container["env"]}
    load_config(environment, for_worker=True)
    assert ("LEADSCORE_MODEL" in environment) == (name == "match")


def test_a_patient_worker_starts_and_its_probes_are_as_patient() -> None:
    [deployment] = [document for document in variant("patient") if document["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    environment = {variable["name"]: variable.get("value", "pod-0") for variable in container["env"]}
    config = load_config(environment, for_worker=True)
    assert (config.drain_timeout_ms, config.start_timeout_ms) == (1_700_000, 600_000)
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] > 600


def test_the_network_policy_lets_out_to_every_port_in_an_address() -> None:
    addresses = {
        "kafka.bootstrapServers": "b-1.kafka:9096\\,b-2.kafka:9098",
        "redis.url": "rediss://leadscore@redis:6380/0",
        "settings.LEADSCORE_SCHEMA_REGISTRY_URL": "https://registry.example",
        "settings.OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
    }
    made = {document["kind"]: document for document in documents(rendered(settings=REQUIRED | addresses))}
    ports = {port["port"] for rule in made["NetworkPolicy"]["spec"]["egress"] for port in rule["ports"]}
    assert {9096, 9098, 6380, 443, 4318} <= ports


def test_a_secret_of_opentelemetry_is_a_variable_and_all_others_are_files() -> None:
    secrets = {
        f"secrets.{name}.{field}": text
        for name in ("OTEL_EXPORTER_OTLP_HEADERS", "LEADSCORE_REDIS_PASSWORD")
        for field, text in {"secret": "leadscore", "key": name.lower()}.items()
    }
    made = {document["kind"]: document for document in documents(rendered(settings=REQUIRED | secrets))}
    pod = made["Deployment"]["spec"]["template"]["spec"]
    variables = {variable["name"]: variable for variable in pod["containers"][0]["env"]}
    headers = {"secretKeyRef": {"name": "leadscore", "key": "otel_exporter_otlp_headers"}}
    assert variables["OTEL_EXPORTER_OTLP_HEADERS"]["valueFrom"] == headers
    assert "LEADSCORE_REDIS_PASSWORD_FILE" in variables
    assert [volume["name"] for volume in pod["volumes"]] == ["model", "secret-leadscore-redis-password"]


def test_the_addresses_of_the_runbooks_can_be_chosen() -> None:
    settings = {"prometheusRule.enabled": "true", "prometheusRule.runbooks": "https://wiki.example/runbooks/"}
    made = {document["kind"]: document for document in documents(rendered(settings=REQUIRED | settings))}
    rules = [rule for group in made["PrometheusRule"]["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    assert {rule["annotations"]["runbook_url"] for rule in rules} == {
        f"https://wiki.example/runbooks/{rule['alert']}.md" for rule in rules
    }


def test_dashboards_may_be_without_a_label() -> None:
    settings = {"dashboards.enabled": "true", "dashboards.labels.grafana_dashboard": "null"}
    maps = [one for one in documents(rendered(settings=REQUIRED | settings)) if one["kind"] == "ConfigMap"]
    assert len(maps) == 3


def test_pods_with_stable_names_are_static_members_of_the_groups() -> None:
    made = {document["kind"]: document for document in variant("stable")}
    assert made["ScaledObject"]["spec"]["scaleTargetRef"]["kind"] == "StatefulSet"
    pod = made["StatefulSet"]["spec"]["template"]["spec"]
    variables = {variable["name"]: variable for variable in pod["containers"][0]["env"]}
    of_name = {"fieldRef": {"fieldPath": "metadata.name"}}
    for name in ("LEADSCORE_KAFKA__GROUP_INSTANCE_ID", "LEADSCORE_INSTANCE"):
        assert variables[name]["valueFrom"] == of_name
    load_config({name: variable.get("value", "leads-0") for name, variable in variables.items()}, for_worker=True)


def test_the_rules_and_dashboards_of_the_chart_are_those_of_the_repository() -> None:
    made = variant("most")
    [rule] = [document for document in made if document["kind"] == "PrometheusRule"]
    deploy = CHART.parents[1]
    assert rule["spec"] == yaml.safe_load((deploy / "prometheus" / "rules.yaml").read_text())
    dashboards = {
        name: content
        for document in made
        if document["kind"] == "ConfigMap" and document["metadata"]["labels"].get("grafana_dashboard") == "1"
        for name, content in document["data"].items()
    }
    files = (deploy / "grafana" / "dashboards").glob("*.json")
    assert dashboards == {f"leadscore-{path.name}": path.read_text() for path in files}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model.text": ""}, "model.text or model.configMap: expected a scoring model"),
        ({"keda.enabled": "true", "keda.maxReplicas": "40"}, "expected at most 32, the partitions of the award log"),
        ({"kafka.bootstrapServers": ""}, "bootstrapServers"),
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, str], words: str) -> None:
    options = [word for name, value in (REQUIRED | settings).items() for word in ("--set", f"{name}={value}")]
    run = run_helm("template", "acme", str(CHART), *options)
    assert run.returncode != 0
    assert words in run.stderr


def test_large_numbers_stay_numbers() -> None:
    text = rendered(settings=REQUIRED | {"settings.LEADSCORE_ALIGNMENT_BYTES": "134217728"})
    assert '{name: LEADSCORE_ALIGNMENT_BYTES, value: "134217728"}' in text
