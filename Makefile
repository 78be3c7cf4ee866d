# Needs Python 3.11+ and make; everything else is installed into .venv.

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(if $(shell $(name) -c 'import sys; print((3, 11) <= sys.version_info < (3, 14) or "")' 2>/dev/null),$(name))))
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
JARS := $(VENV)/.jars
AUDIT := $(VENV)/.audit
COMPILE := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

RUN_DIR ?= .run

.DEFAULT_GOAL := help
.PHONY: help setup run stop test e2e check bench chaos audit lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install what is locked into .venv, if that changed

$(STAMP): requirements.lock pyproject.toml
	@test -n '$(PYTHON)' || { echo 'Python 3.11, 3.12 or 3.13 is needed; name one: make PYTHON=/path/to/python3.12' >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { echo 'the venv module of Python is missing (Debian: apt-get install python3-venv)' >&2; rm -rf $(VENV); exit 1; }
	$(PY) -m pip install --disable-pip-version-check --require-hashes -r requirements.lock
	$(PY) -m pip install --disable-pip-version-check --no-deps --editable .
	@touch $@

run: setup $(JARS) ## the whole system until Ctrl-C; FEED=replay:PATH[,PATH2] or FEED=live for other input; AUTOPILOT=1 trades on paper
	@exec $(PY) -m libs.cli.run

stop: ## end the system of RUN_DIR, or what a killed one left behind
	@$(if $(wildcard $(PY)),$(PY),$(PYTHON)) -m libs.cli.stop

$(JARS): $(STAMP) broker/jars.lock
	@$(PY) -m broker --fetch >&2
	@touch $@

test: setup ## every test; starts a Kafka of its own
	$(PY) -m pytest

e2e: setup ## the containers of docker compose, as a user meets them; needs a Docker engine
	$(PY) -m pytest tests/compose

check: setup ## lint, format, types, import contracts
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

bench: setup ## the benchmarks, with their assumptions
	$(PY) -m tests.bench

chaos: setup ## three minutes of faults against the whole system, each book held against the exchange's; SECONDS= SEED=
	$(PY) -m tests.chaos $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

audit: setup ## known vulnerabilities of what is locked, by the database at osv.dev
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/python -m pip install --disable-pip-version-check --quiet pip-audit; }
	@$(AUDIT)/bin/python -c 'import requests; requests.get("https://api.osv.dev", timeout=10)' 2>/dev/null || { echo 'https://api.osv.dev cannot be reached from here: nothing was audited' >&2; exit 2; }
	$(AUDIT)/bin/pip-audit --vulnerability-service osv --disable-pip --require-hashes --progress-spinner off --requirement requirements.lock

lock: setup ## resolve the locked versions anew: Python's and Kafka's
	$(PY) -m pip install --disable-pip-version-check --quiet uv
	$(VENV)/bin/uv pip compile $(COMPILE) --extra native --extra plots --extra dev --output-file requirements.lock pyproject.toml
	$(VENV)/bin/uv pip compile $(COMPILE) --constraint requirements.lock --output-file requirements-image.lock pyproject.toml
	$(PY) -m broker.lock

clean: ## remove .venv, caches and the data of make run
	rm -rf $(VENV) '$(RUN_DIR)' build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
