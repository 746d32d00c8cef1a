# `make demo` and `make test` each do everything on a fresh machine, and can be run again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check results clean help

help:           ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(VENV)/ready  ## synthetic export -> labels -> four models -> report page; prints its path
	$(BIN)/sepsis run pipelines/demo.toml --out runs/demo

test: $(VENV)/ready  ## the whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/ready  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

results: $(VENV)/ready  ## the figures of docs/results.md; DATA=folder with training_setA.zip
	$(BIN)/sepsis run pipelines/physionet2019.toml --out runs/physionet2019 --set export.path=$(DATA)/training_setA.zip

clean:          ## remove what the targets above made
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
