# Everything runs in .venv, which the first target that needs it makes. PYTHON chooses the interpreter.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo serve test test-all lint format bench docs clean

demo: .venv/installed
	$(BIN)/python examples/demo.py

serve: .venv/installed
	$(PIP) --constraint constraints.txt --editable '.[serve,console]'
	$(BIN)/efive serve

test: .venv/ready
	$(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist worksteal

test-all: .venv/ready
	$(BIN)/python -m pytest

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/ready
	bash benchmarks/peers/setup.sh
	$(BIN)/python benchmarks/encode.py --quick

docs: .venv/ready
	$(BIN)/python scripts/reference.py

clean:
	rm -rf .venv .peers .mypy_cache .ruff_cache .pytest_cache

# What users install: no torch. Builds the native engine into src/ where there is a compiler.
.venv/installed: pyproject.toml constraints.txt hatch_build.py CMakeLists.txt $(wildcard src/native/*)
	$(PYTHON) -m venv .venv
	$(PIP) --upgrade pip
	$(PIP) --constraint constraints.txt --editable .
	touch $@

# What development needs besides. torch first and by its pin: other packages would take another build of it.
.venv/ready: .venv/installed
	$(PIP) --constraint constraints.txt torch
	$(PIP) --constraint constraints.txt --editable '.[console,evaluate,langchain,llama-index,lora,mcp,mteb,serve,tracing,train]' --group test --group lint
	touch $@
