"""The Helm chart: rendered by Helm, and checked against the schemas of Kubernetes and of the operators that it uses.

``python -m tests.chart`` writes ``deploy/helm/example.yaml``. Helm is built from its Go module, which takes minutes,
unless it is installed. So ``make test`` checks that file, whose first line has a checksum of what it was made from, and
``make chart`` renders the chart itself.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from tests.go_modules import KEDA, PROMETHEUS_OPERATOR, module_folder
from tests.servers import CACHE, ROOT, ServerNotAvailable

HELM_FOLDER = ROOT / "deploy" / "helm"
CHART = HELM_FOLDER / "leadscore"
EXAMPLE = HELM_FOLDER / "example.yaml"
EXAMPLE_VALUES = HELM_FOLDER / "example-values.yaml"
KUBERNETES = "1.33"
HELM = "helm.sh/helm/v3/cmd/helm@v3.22.0"
KUBECONFORM = "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0"
BUILD_TIMEOUT_S = 3_000
CUSTOM_RESOURCES = {
    "ScaledObject": (KEDA, "config/crd/bases/keda.sh_scaledobjects.yaml"),
    "PodMonitor": (
        PROMETHEUS_OPERATOR,
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
    ),
    "PrometheusRule": (
        PROMETHEUS_OPERATOR,
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
}
Document = dict[str, Any]


def checksum() -> str:
    """Of the chart and the values that the example is made from.

    Rules and dashboards are not in it: they are files of other folders, and the example does without them.
    """
    digest = hashlib.sha256()
    files = [path for path in CHART.rglob("*") if path.is_file() and "files" not in path.relative_to(CHART).parts]
    for path in [*sorted(files), EXAMPLE_VALUES]:
        digest.update(path.relative_to(HELM_FOLDER).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def first_line() -> str:
    return f"# Made by make chart from leadscore and example-values.yaml, sha256 {checksum()}\n"


def go_program(package: str) -> Path:
    """A program of this package, installed or built; ``ServerNotAvailable`` where there is neither it nor Go."""
    name = package.partition("@")[0].rpartition("/")[2]
    installed = shutil.which(name)
    if installed:
        return Path(installed)
    built = CACHE / "go-bin" / name
    if not built.exists():
        go = shutil.which("go")
        if go is None:
            raise ServerNotAvailable(f"there is neither {name} nor go to build it with")
        environ = os.environ | {"GOBIN": str(built.parent)}
        run = subprocess.run(
            [go, "install", package], env=environ, capture_output=True, text=True, check=False, timeout=BUILD_TIMEOUT_S
        )
        if run.returncode:
            raise ServerNotAvailable(f"go install {package}: {run.stderr.strip()[-300:]}")
    return built


def run_helm(*words: str) -> subprocess.CompletedProcess[str]:
    """Helm with these words, and the chart."""
    command = [str(go_program(HELM)), *words, "--kube-version", f"{KUBERNETES}.0"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def rendered(values: Sequence[Path] = (), settings: Mapping[str, str] | None = None) -> str:
    """What Helm makes of the chart; ``AssertionError`` with its words where it makes nothing."""
    options = [word for path in values for word in ("--values", str(path))]
    options += [word for name, value in (settings or {}).items() for word in ("--set", f"{name}={value}")]
    run = run_helm("template", "acme", str(CHART), "--namespace", "leads", *options)
    assert run.returncode == 0, run.stderr
    return run.stdout


def documents(text: str) -> list[Document]:
    return [document for document in yaml.safe_load_all(text) if document]


def problems_of(document: Document) -> list[str]:
    """What the schema of its kind has against it; a field that the schema does not have is a problem, too."""
    kind = document["kind"]
    if kind in CUSTOM_RESOURCES:
        return [f"{kind}: {error.json_path}: {error.message}" for error in custom_schema(kind).iter_errors(document)]
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        return [f"{kind}: {error}"]
    return []


@cache
def custom_schema(kind: str) -> jsonschema.Draft7Validator:
    """``ServerNotAvailable`` where the operator's module is not to be had."""
    module, path = CUSTOM_RESOURCES[kind]
    definition = yaml.safe_load((module_folder(module) / path).read_text())
    [version] = [version for version in definition["spec"]["versions"] if version["storage"]]
    schema: Document = version["schema"]["openAPIV3Schema"]
    for part in parts_of(schema):
        if "properties" in part and not part.get("x-kubernetes-preserve-unknown-fields"):
            part.setdefault("additionalProperties", False)
        if part.get("x-kubernetes-int-or-string"):
            part.pop("type", None)
    schema["properties"]["metadata"] = {"type": "object"}
    return jsonschema.Draft7Validator(schema)


def parts_of(schema: Any) -> Iterator[Document]:
    if isinstance(schema, dict):
        yield schema
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from parts_of(part)


if __name__ == "__main__":
    EXAMPLE.write_text(first_line() + rendered([EXAMPLE_VALUES]))
