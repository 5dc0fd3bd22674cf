# Sets itself up in .venv: `make demo` and `make test` are all that a fresh machine with Python 3.11 and make needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help demo test golden docs check fmt bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.runtime: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "replicator needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . >&2
	@touch $@

$(VENV)/.development: $(VENV)/.runtime
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' >&2
	@touch $@

demo: $(VENV)/.runtime ## Compile an example to standard output
	@$(BIN)/replicator build dsl-examples/01-one-island.yaml

test: $(VENV)/.development ## Run all tests, with branch coverage
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --cov --cov-report=term

golden: $(VENV)/.development ## Rewrite the golden files from what the compiler writes now
	$(BIN)/python -m pytest --update-golden tests/test_golden.py tests/test_invalid.py

docs: $(VENV)/.development ## Rewrite the pages of docs/ that come from the code
	$(BIN)/python docs/generate.py

check: $(VENV)/.development ## Lint and check types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fmt: $(VENV)/.development ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.development ## Measure speed and memory against other tools, as ratios
	$(BIN)/python benchmarks/run.py

clean: ## Remove what make made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
