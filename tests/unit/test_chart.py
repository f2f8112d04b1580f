"""The Helm chart, as ``deploy/helm/example.yaml`` shows it, fits Kubernetes, its operators and the program.

Needs no Helm: ``make chart`` renders the chart, and more of its variants.
"""

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from leadscore import __version__
from leadscore.cli.ending import CLOSING_S
from leadscore.cli.main import program_parser
from leadscore.ops.config import Config, load_config
from tests.chart import CHART, EXAMPLE, EXAMPLE_VALUES, documents, first_line, problems_of
from tests.conftest import NEEDS_GO_MODULES, asking_for

RENDERED = {document["kind"]: document for document in documents(EXAMPLE.read_text())}
DEPLOYMENT = RENDERED["Deployment"]["spec"]
POD = DEPLOYMENT["template"]["spec"]
[WORKER] = POD["containers"]
JOB_POD = RENDERED["Job"]["spec"]["template"]["spec"]
VALUES_SCHEMA = json.loads((CHART / "values.schema.json").read_text())
KINDS = {
    *("Deployment", "ConfigMap", "ServiceAccount", "Job", "NetworkPolicy", "PodDisruptionBudget"),
    *("ScaledObject", "PodMonitor"),
}


def merged(values: Any, others: Any) -> Any:
    """As Helm merges values."""
    if not isinstance(values, dict) or not isinstance(others, dict):
        return others
    return values | {name: merged(values.get(name), other) for name, other in others.items()}


VALUES = merged(yaml.safe_load((CHART / "values.yaml").read_text()), yaml.safe_load(EXAMPLE_VALUES.read_text()))


def test_the_example_is_what_helm_makes_of_the_chart_as_it_is() -> None:
    assert EXAMPLE.read_text().startswith(first_line()), "the chart has changed: make chart"
    assert RENDERED.keys() == KINDS


def test_the_chart_has_the_version_of_the_program() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    assert WORKER["image"] == f"leadscore:{__version__}"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_object_is_valid_by_the_schema_of_its_kind(kind: str) -> None:
    with asking_for(NEEDS_GO_MODULES):
        assert problems_of(RENDERED[kind]) == []


@pytest.mark.parametrize(
    ("kind", "place", "field"),
    [
        ("Deployment", ("spec", "template", "spec", "containers", 0, "readinessProbe"), "failureTreshold"),
        ("ScaledObject", ("spec",), "maxReplicas"),
        ("PodMonitor", ("spec", "podMetricsEndpoints", 0), "intervall"),
    ],
)
def test_a_field_that_a_kind_does_not_have_is_noticed(kind: str, place: tuple[Any, ...], field: str) -> None:
    document = copy.deepcopy(RENDERED[kind])
    part = document
    for step in place:
        part = part[step]
    part[field] = 3
    with asking_for(NEEDS_GO_MODULES):
        [problem] = problems_of(document)
    assert field in problem


# --- values -----------------------------------------------------------------------------------------------------------


def complaints(values: Any) -> list[str]:
    validator = jsonschema.Draft7Validator(VALUES_SCHEMA)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(values)]


def test_the_values_are_valid_once_what_is_required_is_there() -> None:
    assert complaints(VALUES) == []
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert {complaint.partition(":")[0] for complaint in complaints(defaults)} == {
        "$.kafka.bootstrapServers",
        "$.redis.url",
    }


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("replica", 3),
        ("image.tag", "latest"),
        ("redis.url", "redis://leadscore:secret@redis:6379/0"),
        ("kafka.properties", {"sasl.password": "secret"}),
        ("settings", {"LEADSCORE_REDIS_PASSWORD": "secret"}),
        ("settings", {"LEADSCORE_MODEL": "/model.yaml"}),
        ("settings", {"LEADSCORE_HTTP_HOST": "127.0.0.1"}),
        ("prometheusRule.runbooks", "docs/runbooks"),
        ("settings", {"GROUP": "acme"}),
        ("secrets", {"LEADSCORE_REDIS_PASSWORD": "secret"}),
        ("keda.minReplicas", 0),
        ("model", {"text": "model: acme", "configMap": "acme"}),
    ],
)
def test_a_wrong_value_is_refused(place: str, value: Any) -> None:
    change = value
    for name in reversed(place.split(".")):
        change = {name: change}
    [complaint] = complaints(merged(VALUES, change))
    assert place in complaint


def test_the_schema_knows_every_value() -> None:
    assert VALUES_SCHEMA["properties"].keys() - {"global"} == yaml.safe_load((CHART / "values.yaml").read_text()).keys()


# --- the worker -------------------------------------------------------------------------------------------------------


def environment(container: dict[str, Any], folder: Path) -> dict[str, str]:
    """The variables of a container, with files of the folder for secrets."""
    variables = {}
    for variable in container["env"]:
        name, text = variable["name"], variable.get("value", "acme-leadscore-0")
        if name.endswith("_FILE"):
            (folder / name).write_text("a secret")
            text = str(folder / name)
        variables[name] = text
    return variables


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """As a worker of the example reads it."""
    return load_config(environment(WORKER, tmp_path), for_worker=True)


def test_the_program_accepts_the_environment_and_the_words_of_both_containers(tmp_path: Path) -> None:
    for container in (WORKER, *JOB_POD["containers"]):
        load_config(environment(container, tmp_path))
        args = program_parser().parse_args(container["args"])
        assert args.run.__module__ == f"leadscore.cli.{container['args'][0]}"


def test_the_settings_of_the_values_arrive(config: Config) -> None:
    assert (config.group, config.log_partitions, config.redis_password) == ("acme", 8, "a secret")
    assert config.instance == "acme-leadscore-0"
    [instance] = [variable for variable in WORKER["env"] if variable["name"] == "LEADSCORE_INSTANCE"]
    assert instance["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"


def test_no_secret_is_a_value_of_a_variable() -> None:
    secret = re.compile("PASSWORD|SECRET|LEAD_ID_KEY")
    for variable in [*WORKER["env"], *JOB_POD["containers"][0]["env"]]:
        assert secret.search(variable["name"]) is None or variable["name"].endswith("_FILE")


@pytest.mark.parametrize("pod", [POD, JOB_POD], ids=["worker", "topics"])
def test_what_is_mounted_is_a_volume_and_what_the_variables_name_is_mounted(pod: dict[str, Any]) -> None:
    [container] = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
    paths = [variable["value"] for variable in container["env"] if variable.get("value", "").startswith("/")]
    assert paths
    for path in paths:
        [volume] = [volume for volume in pod["volumes"] if path.startswith(f"{mounts[volume['name']]}/")]
        items = volume["secret" if "secret" in volume else "configMap"]["items"]
        assert path == f"{mounts[volume['name']]}/{items[0]['path']}"
    assert {mount["readOnly"] for mount in container["volumeMounts"]} == {True}


def test_the_config_map_has_the_model() -> None:
    [volume] = [volume for volume in POD["volumes"] if volume["name"] == "model"]
    assert volume["configMap"]["name"] == RENDERED["ConfigMap"]["metadata"]["name"]
    assert RENDERED["ConfigMap"]["data"]["model.yaml"] == VALUES["model"]["text"]


@pytest.mark.parametrize("pod", [POD, JOB_POD], ids=["worker", "topics"])
def test_a_pod_has_no_privilege_and_writes_nothing(pod: dict[str, Any]) -> None:
    security = pod["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 65532)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert container["resources"]["limits"].keys() == {"memory"}


def test_a_pod_may_end_in_order(config: Config) -> None:
    assert POD["terminationGracePeriodSeconds"] > config.drain_timeout_ms / 1000 + CLOSING_S


def test_the_probes_ask_the_port_and_leave_a_worker_the_time_that_it_takes(config: Config) -> None:
    [port] = WORKER["ports"]
    assert port["containerPort"] == config.http_port
    probes = {name: WORKER[f"{name}Probe"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["httpGet"] for name, probe in probes.items()} == {
        "startup": {"path": "/startupz", "port": port["name"]},
        "liveness": {"path": "/livez", "port": port["name"]},
        "readiness": {"path": "/readyz", "port": port["name"]},
    }
    startup = probes["startup"]
    assert startup["periodSeconds"] * startup["failureThreshold"] > config.start_timeout_ms / 1000


# --- around it --------------------------------------------------------------------------------------------------------


def test_every_selector_selects_the_workers_and_not_the_job_that_creates_topics() -> None:
    of_worker = DEPLOYMENT["template"]["metadata"]["labels"]
    of_job = RENDERED["Job"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        DEPLOYMENT["selector"],
        RENDERED["PodDisruptionBudget"]["spec"]["selector"],
        RENDERED["NetworkPolicy"]["spec"]["podSelector"],
        RENDERED["PodMonitor"]["spec"]["selector"],
        *(constraint["labelSelector"] for constraint in POD["topologySpreadConstraints"]),
    ]
    for selector in selectors:
        assert selector["matchLabels"].items() <= of_worker.items()
        assert not selector["matchLabels"].items() <= of_job.items()


def test_workers_are_replaced_and_evicted_one_at_a_time() -> None:
    assert DEPLOYMENT["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}
    assert DEPLOYMENT["minReadySeconds"] > 0
    budget = RENDERED["PodDisruptionBudget"]["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_workers_are_spread_over_zones_and_nodes() -> None:
    keys = [constraint["topologyKey"] for constraint in POD["topologySpreadConstraints"]]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]


def test_keda_scales_on_the_lag_of_both_groups_up_to_the_partitions_of_the_log(config: Config) -> None:
    spec = RENDERED["ScaledObject"]["spec"]
    assert spec["scaleTargetRef"]["name"] == RENDERED["Deployment"]["metadata"]["name"]
    assert "replicas" not in DEPLOYMENT  # else every upgrade would undo what KEDA decided
    assert spec["maxReplicaCount"] == config.log_partitions
    assert spec["minReplicaCount"] >= 1
    triggers = {trigger["metadata"]["consumerGroup"]: trigger["metadata"] for trigger in spec["triggers"]}
    assert triggers.keys() == {config.match_group, config.score_group}
    assert triggers[config.score_group]["topic"] == config.log_topic
    assert "topic" not in triggers[config.match_group]  # all that the group reads
    for trigger in triggers.values():
        assert trigger["bootstrapServers"] == config.kafka["bootstrap.servers"]
        assert (trigger["offsetResetPolicy"], trigger["excludePersistentLag"]) == ("earliest", "true")
        assert trigger["allowIdleConsumers"] == "false"


def test_targets_of_the_pod_monitor_have_the_group(config: Config) -> None:
    [endpoint] = RENDERED["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == (WORKER["ports"][0]["name"], "/metrics")
    [relabeling] = endpoint["relabelings"]
    assert (relabeling["targetLabel"], relabeling["replacement"]) == ("group", config.group)


def test_the_network_policy_lets_in_scrapes_and_out_what_the_worker_calls() -> None:
    spec = RENDERED["NetworkPolicy"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    [ingress] = spec["ingress"]
    assert [port["port"] for port in ingress["ports"]] == [WORKER["ports"][0]["name"]]
    ports = {port["port"] for rule in spec["egress"] for port in rule["ports"]}
    assert {53, 9092, 6379} <= ports
