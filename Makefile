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

# Tests start hundreds of Python processes. Where none may keep its bytecode, each compiles the whole bridge again.
unexport PYTHONDONTWRITEBYTECODE
export MYPY_CACHE_DIR ?= $(CURDIR)/.mypy_cache

# Tests wait as much as they work, so there is one worker more than this machine has cores: `make WORKERS=0 test` runs them one by one.
WORKERS ?= $(shell $(RUN)/python -c 'import os; print((os.cpu_count() or 1) + 1)')

.PHONY: help setup demo demo-dapr up check test mutants fuzz chaos chaos-dapr soak bench clean

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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
	cd functions/python && ../../$(RUN)/mypy --strict .
	$(RUN)/pytest tests/test_layers.py

test: $(DEV) $(FUNCTIONS) ## Run every test that can run here; what is skipped is named with its reason
	$(RUN)/pytest -n $(WORKERS) --dist worksteal tests

mutants: $(DEV) ## Seed faults into the code that decides; the tests must notice each (15 minutes)
	@$(RUN)/python -m tests.mutants

fuzz: $(FUZZ) ## Throw at API, events, parsers and Service Bus what nobody would send (9 minutes)
	@$(RUN)/python -m tests.fuzz

chaos: $(DEV) ## Kill a bridge under load again and again, and count what came of what it accepted (2 minutes)
	@$(RUN)/python -m tests.chaos

chaos-dapr: $(DEV) dapr ## The same on Dapr, with Redis and with Service Bus: bridges, sidecars, bus and store killed in turn (7 minutes)
	@$(RUN)/python -m tests.chaos --runtime dapr
	@$(RUN)/python -m tests.chaos --runtime dapr-servicebus

soak: $(DEV) ## Half the load this machine takes, for half an hour; then 100,000 steps of random stories
	@$(RUN)/python -m tests.soak
	@$(RUN)/python -m tests.stateful --steps 100000 --runs 10000

bench: $(DEV) $(FUNCTIONS) ## Measure the bridge beside task queues, Restate and NATS, then PowerShell and C# functions (25 minutes); docs/speed.md names what else
	$(RUN)/python -m tests.benchmarks
	$(RUN)/python -m tests.benchmarks.powershell
	$(RUN)/python -m tests.benchmarks.csharp

.PHONY: dapr
dapr: ## Find the Dapr sidecar, or build the official one with Go
	@"$(PYTHON)" -m tools.dapr.binaries

.PHONY: helm
helm: ## Find what the charts and alert rules are tested with, or build it with Go
	@"$(PYTHON)" -m tools.helm.binaries

.PHONY: image
image: $(DEV) ## Do what the Dockerfile says without a container engine, and start what it makes (one minute)
	@$(RUN)/python -m tests.image

.PHONY: kubernetes-programs
kubernetes-programs: ## Find what `make kubernetes` starts, or build it with Go (eight minutes)
	@"$(PYTHON)" -m tools.kubernetes.binaries

.PHONY: kubernetes
kubernetes: $(DEV) ## Send the charts to a real API server, and have the real injector of Dapr patch the pod (one minute; building takes eight)
	@$(RUN)/python -m tests.kubernetes

clean: ## Remove what make and the tools made
	rm -rf .venv .venv-functions .bridge .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later was found. Install one, or name it: make PYTHON=/path/to/python $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv

$(RUNTIME): pyproject.toml | .venv/bin/python
	$(RUN)/python $(PIP) -e .
	@touch $@

# In one go, because pip takes as long for a part of it.
$(DEV): pyproject.toml | .venv/bin/python
	$(RUN)/python $(PIP) -e '.[dev]'
	@touch $(RUNTIME) $@

$(FUZZ): $(DEV)
	$(RUN)/python $(PIP) -e '.[fuzz]'
	@touch $@

# --clear, because another interpreter may have made the environment that is there.
$(FUNCTIONS): functions/python/requirements.txt bridge/local/functions/interpreter.py | .venv/bin/python
	"$$($(RUN)/python -m bridge.local.functions.interpreter)" -m venv --clear .venv-functions
	.venv-functions/bin/python $(PIP) -r functions/python/requirements.txt
	@touch $@
