#!/bin/sh
# Install the worker into a new environment, from the root of the source: sh deploy/install.sh FOLDER
# The image's build stage and make image-check run exactly this. Needs Python with venv and, unless LEADSCORE_BUILD=pure,
# a C compiler. Only locked versions are installed; FOLDER gets no pip, and a bill of materials: sbom.cdx.json.
set -eu
folder=$1
python=${PYTHON:-python3}
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT

"$python" -m venv "$tools/venv"
pip() { "$tools/venv/bin/python" -m pip --disable-pip-version-check --no-cache-dir "$@"; }
pip install --quiet --constraint requirements.lock setuptools mypy msgspec cyclonedx-bom
LEADSCORE_BUILD=${LEADSCORE_BUILD:-compiled} pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$tools/wheels" .

"$python" -m venv --without-pip "$folder"
for wheel in "$tools"/wheels/*.whl; do # with what exports spans, which the variables of OpenTelemetry switch on
  pip --python "$folder/bin/python" install --quiet --constraint requirements.lock "$wheel[otel]"
done
# A file missing from the wheel fails the build, not the pod.
"$folder/bin/leadscore" --version
"$folder/bin/leadscore" init "$tools/start" >"$tools/log"
"$folder/bin/leadscore" check --model "$tools/start/model.yaml" >"$tools/log"
"$tools/venv/bin/cyclonedx-py" environment --pyproject pyproject.toml --output-reproducible --output-format JSON \
  --output-file "$folder/sbom.cdx.json" "$folder/bin/python"
