# `make demo` and `make test` each do everything on a fresh machine, and can be run again.
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt

# `make test ROOM=labels`: all tests of one room, slow ones too, and the examples in its docstrings
ROOM :=
ROOM_TESTS := $(wildcard tests/$(ROOM) tests/test_$(ROOM).py sepsis/$(ROOM) sepsis/$(ROOM).py)
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

.PHONY: demo test test-rest test-all check results clean help

help:           ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

# The package alone, which is all that the commands and `make demo` need.
$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(INSTALL) --editable .
	@touch $@

# Linters, the test tools, and the optional engines.
$(VENV)/ready-dev: $(VENV)/ready
	$(INSTALL) --editable '.[dev]'
	@touch $@

demo: $(VENV)/ready  ## synthetic export -> labels -> eleven models -> report page; prints its path
	$(BIN)/sepsis run pipelines/demo.toml --out runs/demo

test: $(VENV)/ready-dev  ## the fast tests, under ten minutes; ROOM=labels: all tests of one room
ifeq ($(ROOM),)
	$(PYTEST) -m "not slow"
else
	@test -n '$(ROOM_TESTS)' || { echo "no room '$(ROOM)': name a folder of sepsis/ or tests/, such as labels or models/dtw"; exit 2; }
	$(PYTEST) $(ROOM_TESTS)
endif

test-rest: $(VENV)/ready-dev  ## the slow tests: kills, malformed input, engines, browser, benchmarks
	$(PYTEST) -m slow

test-all: $(VENV)/ready-dev  ## every test
	$(PYTEST)

check: $(VENV)/ready-dev  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

results: $(VENV)/ready  ## the figures of docs/results.md; DATA=folder with training_setA.zip
	$(BIN)/sepsis run pipelines/physionet2019.toml --out runs/physionet2019 --set export.path=$(DATA)/training_setA.zip

clean:          ## remove what the targets above made
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
