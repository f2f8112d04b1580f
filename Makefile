# Without a target: what CI does. Needs Python 3.11 or newer; the tests also Java 17 and mvn, or Docker, or the address
# of a Kafka in LEADSCORE_TEST_KAFKA (and optionally of a Redis in LEADSCORE_TEST_REDIS). The unit tests also run on the
# other versions of Python that are found.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest
HOURS := --timeout 7200
FAULTS :=
BENCH_WITH := $(BIN)/python -m
BENCH :=
FUZZ :=
SEEDS := 1000
FIRST := 0
EXTENSIONS = find src -name '*.so'

.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: test alerts-live dashboard-pictures demo lint types unit unit-all-pythons unit-compiled audit fuzz nightly mutants worker-mutants simulate-faults faults faults-page faults-peers endurance full restarts upgrade bench bench-in-process bench-builds bench-instructions bench-features bench-memory bench-merges bench-latency bench-recovery bench-peers kafka redis registry crm picture wheel-check chart image-check sbom lock format compile pure clean help

test: lint types ## format, lint and type checks, then every test: on real servers, and beside them unit-all-pythons and unit-compiled
	$(BIN)/python -m tests.side_by_side

demo: $(VENV)/demo ## see leads cross the threshold, with nothing but Python
	$(BIN)/leadscore demo

lint: $(VENV)/dev ## ruff
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/dev ## mypy
	$(BIN)/mypy

unit: $(VENV)/dev ## the tests that need no server
	$(PYTEST) tests/unit

unit-all-pythons: $(VENV)/dev ## the tests that need no server, on the other versions of Python that are found here
	$(BIN)/python -m tests.other_pythons

unit-compiled: $(VENV)/dev ## the tests that need no server, and the main job, on the compiled build
	$(BIN)/python -m tests.compiled_build

audit: $(VENV)/dev ## known vulnerabilities of the locked versions; fails where the database cannot be asked, which make test only says
	$(BIN)/python -m tests.audit --must-ask

fuzz: $(VENV)/dev ## a million damaged and random records through decoder and mappings; FUZZ="--inputs 10000 --first 5000000"
	$(BIN)/python -m tests.fuzz $(FUZZ)

nightly: $(VENV)/dev ## the random histories, ten thousand of each
	$(PYTEST) tests/unit --hypothesis-profile nightly $(HOURS)

mutants: $(VENV)/dev ## plant errors in the fold, one at a time, and show which test catches which
	$(BIN)/python -m tests.mutants.run

worker-mutants: $(VENV)/dev ## plant errors in how the worker delivers, and write into docs/mutants.md what catches which
	$(BIN)/python -m tests.mutants.run_worker

simulate-faults: $(VENV)/dev ## whole workers on a Kafka in memory, and everything that can go wrong; SEEDS=10000 FIRST=0
	$(BIN)/python -m tests.simulation.run --seeds $(SEEDS) --first $(FIRST)

faults-peers: $(VENV)/dev ## other systems under the kills that leadscore is under, and the table of docs/promise.md; KILLS=10 SEED=7 PEERS="--only redis"
	$(BIN)/python -m tests.faults.peers $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED)) --page $(PEERS)

endurance: $(VENV)/dev ## load for long, with faults; its row for make faults-page; MINUTES=60 RATE=500 (70 % of the maximum)
	MINUTES=$(or $(MINUTES),60) RATE=$(RATE) SEED=$(SEED) $(PYTEST) -m faults tests/faults/test_endurance.py -s

full: $(VENV)/dev ## the tests that take the full size
	$(PYTEST) -m full $(HOURS)

restarts: $(VENV)/dev ## an idle worker beside two busy processes, restarted fifty times: it reads nothing again
	$(PYTEST) -m full tests/e2e/test_restarts.py $(HOURS)

upgrade: $(VENV)/dev ## workers of the last published version are replaced one by one under load; needs the git history
	$(PYTEST) -m full tests/e2e/test_upgrade.py $(HOURS)

faults: $(VENV)/dev ## the experiments with faults on real servers, a verdict line each; FAULTS="-k lost_reply" KILLS=200 EVENTS=20000 SEED=7
	KILLS=$(KILLS) EVENTS=$(EVENTS) SEED=$(SEED) $(PYTEST) -m faults tests/faults -p no:randomly --timeout 7200 $(FAULTS)

faults-page: $(VENV)/dev ## write the table of docs/promise.md from what make faults has left
	$(BIN)/python -m tests.faults.page

alerts-live: $(VENV)/dev ## every kind of fault under a real Prometheus: the right alerts fire and end, and no others; some minutes
	$(PYTEST) -m full tests/e2e/test_alerts_live.py --timeout 1800

dashboard-pictures: $(VENV)/dev ## draw docs/pictures/dashboard-*.svg from real workers under load and a real Prometheus; MINUTES=4
	$(BIN)/python -m tests.dashboard_pictures --minutes $(or $(MINUTES),4)

bench: $(VENV)/dev ## events per second of each stage; BENCH="--events 50000 --rounds 1", BENCH=--help
	$(BENCH_WITH) tests.bench.throughput $(BENCH)

bench-in-process: $(VENV)/dev ## CPU per event of the hot path without servers, in seconds; BENCH="peers starter"
	$(BENCH_WITH) tests.bench.in_process $(BENCH)

bench-instructions: $(VENV)/dev ## machine instructions per event of the hot path, on any load; needs valgrind
	$(BENCH_WITH) tests.bench.instructions $(BENCH)

bench-builds: $(VENV)/dev ## bench-in-process on the pure and the compiled build, in turn, and the ratios; BENCH="peers --rounds 5"
	$(BENCH_WITH) tests.bench.builds $(BENCH)

bench-features: $(VENV)/dev ## what each feature of a model costs per event
	$(BENCH_WITH) tests.bench.features $(BENCH)

bench-memory: $(VENV)/dev ## bytes of Redis memory per lead; BENCH="--leads 1000000"
	$(BENCH_WITH) tests.bench.memory $(BENCH)

bench-merges: $(VENV)/dev ## bytes of Redis memory per alias, and what an event under an alias costs; BENCH="--aliases 100000 1000000"
	$(BENCH_WITH) tests.bench.merges $(BENCH)

bench-peers: $(VENV)/dev ## the same work in leadscore, Kafka Streams, Quix Streams and Redis; BENCH="--only leadscore --add"
	$(BENCH_WITH) tests.bench.peers.run $(BENCH)

bench-latency: $(VENV)/dev ## from an event to its crossing at a subscriber, at three loads; BENCH="--seconds 10"
	$(BENCH_WITH) tests.bench.latency $(BENCH)

bench-recovery: $(VENV)/dev ## start-up, catching up, rebuilding, rebalancing; BENCH="--events 100000"
	$(BENCH_WITH) tests.bench.recovery $(BENCH)

wheel-check: $(VENV)/dev ## every file of the package is in every kind of install
	$(PYTEST) tests/e2e/test_packaging.py

chart: $(VENV)/dev ## render the Helm chart into deploy/helm/example.yaml, and check it with helm and kubeconform (built with Go, once)
	$(BIN)/python -m tests.chart
	$(PYTEST) -m full tests/unit/test_chart_with_helm.py $(HOURS)

image-check: $(VENV)/dev ## the image's steps without an engine for containers: install, run as its user on a read-only disk; needs root
	$(PYTEST) -m full tests/e2e/test_image.py $(HOURS)

sbom: ## the bill of materials of the image's Python packages (CycloneDX): dist/leadscore.cdx.json
	rm -rf .cache/image dist/leadscore.cdx.json
	LEADSCORE_BUILD=pure PYTHON=$(PYTHON) sh deploy/install.sh .cache/image
	mkdir -p dist && cp .cache/image/sbom.cdx.json dist/leadscore.cdx.json
	rm -rf .cache/image build

kafka: $(VENV)/dev ## a Kafka of your own, until Ctrl-C
	@$(BIN)/python tests/servers.py kafka

redis: $(VENV)/dev ## a Redis of your own, until Ctrl-C
	@$(BIN)/python tests/servers.py redis

registry: $(VENV)/dev ## a schema registry of your own (Apicurio) at localhost:8081, or at PORT=..., until Ctrl-C; for docs/walkthrough.md
	@$(BIN)/python -m tests.schema_registry_server $(or $(PORT),8081)

crm: $(VENV)/dev ## a stand-in for a CRM at localhost:8090, or at PORT=..., until Ctrl-C; for docs/walkthrough.md
	@$(BIN)/python -m tests.crm_server $(or $(PORT),8090)

picture: $(VENV)/dev ## record the demo's terminal for the front page: docs/pictures/demo.svg
	$(BIN)/python -m tests.demo_picture

compile: $(VENV)/dev ## compile the hot modules in place, with mypyc and a C compiler; again after each change to them
	LEADSCORE_BUILD=compiled $(BIN)/python setup.py --quiet build_ext --inplace
	$(BIN)/leadscore --version

pure: ## take back what make compile made: the Python source runs again
	$(EXTENSIONS) -delete

format: $(VENV)/dev ## let ruff format and fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## write requirements.lock again, with the newest versions pyproject.toml allows
	rm -rf .cache/lock
	$(PYTHON) -m venv .cache/lock
	LEADSCORE_BUILD=pure .cache/lock/bin/python -m pip install --quiet --disable-pip-version-check '.[demo,test,dev]'
	{ echo '# Made by make lock; used as constraints by the Makefile and deploy/Dockerfile.'; \
	  .cache/lock/bin/python -m pip freeze --all --exclude pip --exclude leadscore; } > requirements.lock
	rm -rf .cache/lock build

clean: ## everything that was made here, but for the Kafka in .cache
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	$(EXTENSIONS) -delete
	find src tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

# The environment is rebuilt when what goes into it has changed.
$(VENV)/made: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "leadscore needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/demo: $(VENV)/made
	$(PIP_INSTALL) --constraint requirements.lock --editable '.[demo]'
	@touch $@

$(VENV)/dev: $(VENV)/made
	$(PIP_INSTALL) --constraint requirements.lock --editable '.[demo,test,dev]'
	@touch $@
