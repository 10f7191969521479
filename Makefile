# Works with Python 3.11 or newer and make, nothing else. `make` alone lists the targets.

# The first Python that is new enough; say `make PYTHON=/path/to/python3` for another one.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
INSTALL = $(or $(PYTHON),$(error Python 3.11 or newer is needed, and none was found on PATH)) requirements/install.py
BIN := .venv/bin
COMPILE := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --no-annotate --upgrade
RUN_LOCK := pyproject.toml requirements/build.in --extra http --extra arxiv

.PHONY: help venv up test test-server chaos soak fuzz check format bench simulate sbom audit lock clean

help:
	@echo 'make up      install, then run the self-check plan: worker, beat, Flower, an embedded Redis (Ctrl-C ends it)'
	@echo 'make test    install, then run every test and report the coverage'
	@echo 'make chaos   do every fault of the programme and write docs/reference/faults.md (SEED=1 BUDGET=3600 seconds)'
	@echo 'make fuzz    try a million plan documents and a hundred thousand queue payloads, and write docs/reference/fuzz.md'
	@echo 'make simulate  random schedules of beats, workers and faults (SCHEDULES=100000 SEED=1)'
	@echo 'make soak    random faults for as long as you like, an hour unless told otherwise (SEED=1 SECONDS=3600)'
	@echo 'make sbom    write dist/sbom.cdx.json: what this is made of, with hashes and licences (CycloneDX)'
	@echo 'make audit   ask the OSV database about every locked package (AUDIT=--must where it must be reachable)'
	@echo 'make check   ruff, mypy and the layers'
	@echo 'make format  let ruff put the code in order'
	@echo 'make bench   measure checks a second, loads, heartbeats, snapshots, idle cost and memory (BENCH=--quick for a quick try)'
	@echo 'make lock    pin the newest versions that pyproject.toml allows (needs uv)'
	@echo 'make test-server SERVER=/path/to/redis-server   run the contract and fault tests on another Redis or Valkey'
	@echo 'make clean   remove the virtual environment and everything built'

venv:
	@$(INSTALL) dev

up:
	@$(INSTALL) run
	@$(BIN)/moie up --plan examples/self_check.yaml $(ARGS)

# Each run keeps its coverage in a folder of its own, so that two runs do not read each other's.
test: venv
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && trap 'exit 130' INT TERM && export COVERAGE_FILE="$$dir/coverage" && \
	$(BIN)/coverage run -m pytest $(ARGS) && \
	$(BIN)/coverage combine -q && $(BIN)/coverage report --fail-under=90

# Contract and faults, the long ones too, on any server binary: make test-server SERVER=/path/to/valkey-server
SERVER_FAULTS := test_kills.py test_redis_faults.py test_redis_empty.py test_rights.py test_sentinel.py
SERVER_TESTS := tests/contract tests/integration/test_tls_sentinel.py $(addprefix tests/chaos/,$(SERVER_FAULTS))
test-server: venv
	@MOIE_TEST_SERVER=$(or $(SERVER),$(error Say which one: make test-server SERVER=/path/to/redis-server)) \
	$(BIN)/python -m pytest -m 'not whole or fault' $(SERVER_TESTS) $(ARGS)

SEED ?= 1
BUDGET ?= 3600
chaos: venv
	@$(BIN)/python -m pytest -m fault --faults-page docs/reference/faults.md --seed $(SEED) --budget $(BUDGET) $(ARGS)

SECONDS ?= 3600
soak: venv
	@$(BIN)/python -m pytest tests/chaos/test_soak.py -m whole -s --soak $(SECONDS) --seed $(SEED) $(ARGS)

check: venv
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

DOCUMENTS ?= 1000000
PAYLOADS ?= 100000
WORKER ?= 5000
fuzz: venv
	@$(BIN)/python -m tests.fuzz.run --seed $(SEED) --documents $(DOCUMENTS) --payloads $(PAYLOADS) --worker $(WORKER) \
		--budget $(BUDGET) --page docs/reference/fuzz.md $(ARGS)

format: venv
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: venv
	@$(BIN)/python -m bench.run $(BENCH)

SCHEDULES ?= 100000
simulate: venv
	@$(BIN)/python -m tests.simulator --schedules $(SCHEDULES) --seed $(SEED)

sbom: venv
	@$(BIN)/python requirements/sbom.py dist/sbom.cdx.json

audit: venv
	@$(BIN)/python requirements/audit.py $(AUDIT)

lock:
	@$(COMPILE) $(RUN_LOCK) -o requirements/run.txt
	@$(COMPILE) $(RUN_LOCK) -c requirements/run.txt --extra embedded -o requirements/embedded.txt
	@$(COMPILE) $(RUN_LOCK) -c requirements/run.txt --group dev -o requirements/dev.txt

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.*
