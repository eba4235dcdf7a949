# Everything a person does with this repository. `make help` lists it.
# A stamp file per environment keeps a second run quick; nothing is installed outside this directory.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

FOUND := $(foreach v,3.11 3.12 3.13,$(if $(shell scripts/find_python $(v)),$(v)))
PYTHON ?= $(if $(FOUND),$(shell scripts/find_python $(firstword $(FOUND))),python3)
OTHER_PYTHONS = $(filter-out $(shell $(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'),$(FOUND))
VENV := .venv
BIN := $(VENV)/bin
PIP_FLAGS := -qq --disable-pip-version-check --no-input
# More than there are cores: the loops and browsers under test wait for time to pass.
WORKERS ?= 3
UI_SOURCES := $(shell find web -path web/node_modules -prune -o -type f -print 2>/dev/null)
UP_FLAGS ?=

.PHONY: help up test bench fmt lock check ui-test

help: ## Show what can be done here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(VENV)/.runtime src/aegis/api/static/index.html ## Install into .venv and start everything on this machine
	@exec $(BIN)/aegis up $(UP_FLAGS)

test: $(VENV)/.dev src/aegis/api/static/index.html ## Check style, types and imports; run every test
	@$(MAKE) --no-print-directory --jobs 2 --output-sync check ui-test $(OTHER_PYTHONS:%=python-test-%)
	@$(BIN)/pytest -q -n $(WORKERS) --dist loadgroup --no-loadscope-reorder tests

bench: $(VENV)/.bench ## Run the quick benchmarks; each prints a table
	@failed=0; for file in $(filter-out benchmarks/vus.py,$(wildcard benchmarks/*.py)); do \
	  echo "== $$file"; PYTHONPATH=. $(BIN)/python $$file --quick || failed=1; \
	done; exit $$failed

fmt: $(VENV)/.dev ## Format and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: pyproject.toml ## Write the hashed lock files anew
	@test -x .venv-lock/bin/uv || { python3 -m venv .venv-lock && .venv-lock/bin/pip install $(PIP_FLAGS) uv; }
	@export UV_CUSTOM_COMPILE_COMMAND="make lock"; \
	compile() { .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url "$$@"; }; \
	compile pyproject.toml --extra dev --output-file requirements/dev.txt; \
	compile pyproject.toml --constraint requirements/dev.txt --output-file requirements/runtime.txt; \
	compile requirements/build.in --constraint requirements/dev.txt --output-file requirements/build.txt; \
	compile pyproject.toml --extra bench --constraint requirements/dev.txt --output-file requirements/bench.txt

check: $(VENV)/.dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

ui-test: $(VENV)/.dev src/aegis/api/static/index.html
	@$(BIN)/python scripts/build_ui.py --test

# The unit tests on the other supported Pythons found here; the whole suite runs on the first.
.PRECIOUS: .venv-%/.dev
python-test-%: .venv-%/.dev
	@echo "unit tests on Python $*"
	@.venv-$*/bin/pytest -q -n 2 tests/unit

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Aegis needs Python 3.11, 3.12 or 3.13; name one with: make up PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements/runtime.txt requirements/build.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing Aegis into $(VENV) ..."
	@$(BIN)/pip install $(PIP_FLAGS) --require-hashes --no-deps -r requirements/runtime.txt
	@$(BIN)/pip install $(PIP_FLAGS) --require-hashes --no-deps -r requirements/build.txt
	@$(BIN)/pip install $(PIP_FLAGS) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	@$(BIN)/pip install $(PIP_FLAGS) --require-hashes --no-deps -r requirements/dev.txt
	@touch $@

# vakt installs its own tests as a package named `tests`, which would hide ours.
$(VENV)/.bench: requirements/bench.txt $(VENV)/.dev
	@$(BIN)/pip install $(PIP_FLAGS) --require-hashes --no-deps -r requirements/bench.txt
	@rm -rf $(VENV)/lib/python3.*/site-packages/tests
	@touch $@

.venv-%/.dev: requirements/dev.txt pyproject.toml
	@echo "Installing for Python $* ..."
	@test -x .venv-$*/bin/python || $$(scripts/find_python $*) -m venv .venv-$*
	@.venv-$*/bin/pip install $(PIP_FLAGS) --require-hashes --no-deps -r requirements/dev.txt
	@.venv-$*/bin/pip install $(PIP_FLAGS) --no-deps --no-build-isolation --editable .
	@touch $@

src/aegis/api/static/index.html: $(UI_SOURCES) | $(VENV)/.runtime
	@$(BIN)/python scripts/build_ui.py
