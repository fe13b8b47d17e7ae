# Needs make and any Python 3.11 or later; `make PYTHON=/path/to/python setup` chooses one.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

# The newest Python that starts and can make virtual environments; pyenv's shims, for one, exist without a version behind them.
PYTHON ?= $(shell for python in python3.15 python3.14 python3.13 python3.12 python3.11 python3 python; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

RUN := .venv/bin
RUNTIME := .venv/.runtime
DEV := .venv/.dev
FUZZ := .venv/.fuzz
FUNCTIONS := .venv-functions/.installed
PIP := -m pip install --quiet --disable-pip-version-check

.PHONY: help setup demo demo-dapr up check test mutants fuzz chaos chaos-dapr soak bench clean

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(DEV) $(FUNCTIONS) ## Make both virtual environments, with the tools for tests

demo: $(RUNTIME) $(FUNCTIONS) ## Run the sample automations on this machine and show what came out
	@$(RUN)/bridge demo

demo-dapr: $(RUNTIME) $(FUNCTIONS) dapr ## The same on a Dapr sidecar, which is built if there is none
	@$(RUN)/bridge demo --runtime dapr

up: $(RUNTIME) $(FUNCTIONS) ## Serve on http://127.0.0.1:8080 with the functions beside it
	@$(RUN)/bridge up --functions functions

check: $(DEV) ## Format, lint, types, layers
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	cd functions/python && ../../$(RUN)/mypy --strict --cache-dir ../../.mypy_cache .
	$(RUN)/pytest tests/test_layers.py

test: $(DEV) $(FUNCTIONS) ## Run every test that can run here; what is skipped is named with its reason
	$(RUN)/pytest -ra tests

mutants: $(DEV) ## Seed faults into the code that decides; the tests must notice each (5 minutes)
	@$(RUN)/python -m tests.mutants

fuzz: $(FUZZ) ## Throw at API, events and parsers what nobody would send (6 minutes)
	@$(RUN)/python -m tests.fuzz

chaos: $(DEV) ## Kill a bridge under load again and again, and count what came of what it accepted (2 minutes)
	@$(RUN)/python -m tests.chaos

chaos-dapr: $(DEV) dapr ## The same on Dapr: two bridges, their sidecars and Redis, each killed in turn (4 minutes)
	@$(RUN)/python -m tests.chaos --runtime dapr

soak: $(DEV) ## Half the load this machine takes, for half an hour; then 100,000 steps of random stories
	@$(RUN)/python -m tests.soak
	@$(RUN)/python -m tests.stateful --steps 100000 --runs 10000

bench: $(DEV) $(FUNCTIONS) ## Measure
	$(RUN)/python -m tests.benchmarks

.PHONY: dapr
dapr: ## Find the Dapr sidecar, or build the official one with Go
	@"$(PYTHON)" -m tools.dapr.binaries

clean: ## Remove what make and the tools made
	rm -rf .venv .venv-functions .bridge .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later was found. Install one, or name it: make PYTHON=/path/to/python $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv

$(RUNTIME): pyproject.toml | .venv/bin/python
	$(RUN)/python $(PIP) -e .
	@touch $@

$(DEV): $(RUNTIME)
	$(RUN)/python $(PIP) -e '.[dev]'
	@touch $@

$(FUZZ): $(DEV)
	$(RUN)/python $(PIP) -e '.[fuzz]'
	@touch $@

# --clear, because another interpreter may have made the environment that is there.
$(FUNCTIONS): functions/python/requirements.txt bridge/local/functions/interpreter.py | .venv/bin/python
	"$$($(RUN)/python -m bridge.local.functions.interpreter)" -m venv --clear .venv-functions
	.venv-functions/bin/python $(PIP) -r functions/python/requirements.txt
	@touch $@
