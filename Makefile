# Each target makes what it needs: `make demo` and `make test` work from a fresh clone with nothing installed.

VENV ?= .venv
# The first Python on the path that the dependencies have wheels for.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11 python3.10,$(shell \
	$(p) -c 'import sys; (3, 10) <= sys.version_info[:2] <= (3, 13) and print("$(p)")' 2>/dev/null)))
BIN := $(VENV)/bin
# Processes that run tests beside each other; each takes about 3 GB and needs a core.
WORKERS ?= 2

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help venv demo test lint docs bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   run the main job on the model and data that come with the repository"
	@echo "make test   run the tests, fast ones first"
	@echo "make lint   run ruff, mypy and import-linter"
	@echo "make docs   build the site into docs/site; a warning fails it"
	@echo "make bench  measure tfcompress against the plain tools used by hand, and print the table"
	@echo "make venv   make $(VENV) with everything a developer needs"
	@echo "make clean  remove what the other targets made"

# The package alone (the demo needs no more), then what developers need on top.
$(VENV)/.package: setup.cfg setup.py
	@test -n "$(PYTHON)" || { echo "make: no Python 3.10 to 3.13 on the path; give one with PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --use-pep517 --editable .
	@touch $@

$(VENV)/.developer: $(VENV)/.package
	$(BIN)/python -m pip install --quiet --use-pep517 --editable '.[test,lint]'
	@touch $@

venv: $(VENV)/.developer

demo: $(VENV)/.package
	$(BIN)/tfcompress demo --output demo-output --force

test: $(VENV)/.developer
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal --durations 40

lint: $(VENV)/.developer
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict benchmarks tools
	$(BIN)/mypy --strict docs/examples
	$(BIN)/lint-imports

# -n would ask for a page of every type that a signature names; links between pages are checked without it.
$(VENV)/.docs: $(VENV)/.package
	$(BIN)/python -m pip install --quiet --use-pep517 --editable '.[docs]'
	@touch $@

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs docs/site

bench: $(VENV)/.package
	$(BIN)/python -m benchmarks.by_hand

clean:
	rm -rf .venv* build dist demo-output docs/site docs/reference *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
