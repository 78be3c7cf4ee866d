# Needs Python 3.11 to 3.14 and make; everything else is installed into .venv.

VENV := .venv
PY := $(VENV)/bin/python
# Once there is a .venv its Python goes first: it is the one that was named, and no launcher's shim.
USABLE = $(if $(shell $(1) -c 'import sys; print((3, 11) <= sys.version_info < (3, 15) or "")' 2>/dev/null),$(1))
PYTHON ?= $(eval PYTHON := $(or $(call USABLE,$(PY)),$(call USABLE,python3),$(call USABLE,python3.13),$(call USABLE,python3.12),$(call USABLE,python3.11),$(call USABLE,python3.14)))$(PYTHON)
NAMED := $(if $(filter-out file undefined,$(origin PYTHON)),named)
PROBE = case "$$($(PYTHON) -c 'import sys; print("is %d.%d" % sys.version_info[:2])' 2>/dev/null)" in 'is 3.1'[1-4]) ;; \
  'is '*) echo 'PYTHON=$(PYTHON) is not of the versions 3.11 to 3.14: name one that is, or leave it out' >&2; exit 1;; \
  *) echo 'PYTHON=$(PYTHON) is no Python: name one of 3.11 to 3.14, or leave it out' >&2; exit 1;; esac
# Says nothing where all is installed (install/).
INSTALL = @test -n '$(PYTHON)' || { echo 'Python 3.11 to 3.14 is needed, and none is on PATH: install one, or name it: make PYTHON=/path/to/python3.12' >&2; exit 1; }; \
  $(if $(NAMED),$(PROBE);) $(PYTHON) -m install $(if $(NAMED),--named)

RUN_DIR ?= .run

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev doctor run stop test test-fast e2e check bench chaos soak peers examples screenshot audit sbom lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is locked for running into .venv, if that changed; PLOTS=1 adds what draws pictures, HISTORY=1 Parquet
	$(INSTALL) run $(if $(PLOTS),plots) $(if $(HISTORY),history)

setup-dev: ## install what tests and checks add
	$(INSTALL) run dev

doctor: ## what this machine lacks, and how to get it; needs nothing installed
	@if $(PY) -c 'import aiokafka, typer' 2>/dev/null; then $(PY) -m libs.cli doctor; else $(or $(PYTHON),python3) -m libs.cli.machine; fi

run: setup ## the whole system until Ctrl-C; FEED=replay:PATH[,PATH2] or FEED=live for other input; AUTOPILOT=1 trades on paper
	@exec $(PY) -m libs.cli.run

stop: ## end the system of RUN_DIR, or what a killed one left behind
	@$(if $(wildcard $(PY)),$(PY),$(or $(PYTHON),python3)) -m libs.cli.stop

test: setup-dev ## every test, two files at a time, on a Kafka each; then those of whole systems, which fill two cores
	$(PY) -m pytest --dist loadfile --numprocesses $(if $(KAFKA_BOOTSTRAP_SERVERS),0,2) tests/unit tests/property tests/integration
	$(PY) -m pytest tests/e2e

test-fast: setup-dev ## unit and property tests, in parallel
	$(PY) -m pytest -q --numprocesses auto tests/unit tests/property

e2e: setup-dev ## the containers of docker compose, as a user meets them; needs a Docker engine
	$(PY) -m pytest tests/compose

check: setup-dev ## lint, format, types, import contracts
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

bench: setup-dev ## the benchmarks, with their assumptions
	$(PY) -m tests.bench

chaos: setup-dev ## three minutes of faults against the whole system, each book held against the exchange's; SECONDS= SEED=
	$(PY) -m tests.chaos $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

soak: setup-dev ## an hour of the whole system, trading, with faults and kills now and then: whether anything grows; MINUTES= SEED=
	$(PY) -m tests.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

peers: setup-dev ## other people's clients against the simulator, their own checks on; SECONDS=
	$(PY) -m tests.peers $(if $(SECONDS),--seconds $(SECONDS))

examples: setup-dev ## answers of the system that `make run` runs now, as the examples of openapi.json
	$(PY) -m tests.examples

screenshot: setup-dev ## the page of the system that `make run` runs now, as docs/page.png
	$(PY) -m tests.screenshot

audit: setup ## known vulnerabilities of all that is locked, by the database at osv.dev; else when last could
	@$(PY) -m install.audit

sbom: setup-dev ## write bookrunner.cdx.json: what it is made of, as CycloneDX 1.6
	@$(PY) -m install.sbom bookrunner.cdx.json

lock: setup-dev ## resolve the locks anew: Python's, Kafka's, the page's, the images'; UPGRADE=1 takes the newest that fit
	$(PY) -m install.lock $(VENV)/bin/uv $(if $(UPGRADE),--upgrade)
	$(PY) -m broker.lock
	$(PY) -m install.webjars --lock
	$(PY) -m install.webjars
	$(PY) -m install.images

clean: ## remove .venv, the page's libraries, caches and the data of make run
	rm -rf $(VENV) .venv-peers '$(RUN_DIR)' services/gateway/page/vendor build bookrunner.cdx.json *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
