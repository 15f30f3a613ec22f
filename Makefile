# Two commands: `make demo` and `make test`. Each sets up what it needs; see `make help`.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# DEMO=run executes the demo notebook without a browser. PYTEST_ARGS goes to pytest, of which WORKERS processes run, each
# a file of tests at a time. PYTHON names the Python to start from.
DEMO ?= open
# Two: a third one saves three minutes of twenty on two cores, and tests that wait for a moment fail more often.
WORKERS ?= 2
# How often a test that failed may try again: on two busy cores, a browser or a process may be late. The summary names each
# such test (RERUN): it waited for time to pass rather than for an event, and is to be mended. RERUNS=0 lets none.
RERUNS ?= 2
PYTEST_ARGS ?=
export PYTHON
BIN := .venv/bin
# The kernels and settings of .venv come before those in the home folder.
export JUPYTER_PREFER_ENV_PATH := 1

.PHONY: help demo test lint format docs bench lock licences setup setup-demo sample clean

help:  ## list the targets
	@echo "make demo            set up and open JupyterLab on notebooks/01_first_look.ipynb"
	@echo "make demo DEMO=run   set up and execute that notebook without a browser -> build/01_first_look.html"
	@echo "make test            set up and run all tests (PYTEST_ARGS='-k dicom' to choose)"
	@echo "make lint            ruff, mypy --strict, import-linter"
	@echo "make format          let ruff format and fix the code"
	@echo "make docs            API reference from the docstrings -> site/"
	@echo "make bench           the benchmarks' table"
	@echo "make licences        the licences of all locked packages; fails on the GPL"
	@echo "make lock            resolve requirements/*.lock anew (UPGRADE=1: newest versions)"
	@echo "make clean           remove what was built, .venv too"

setup-demo:
	@tools/python.sh tools/bootstrap.py demo

setup:
	@tools/python.sh tools/bootstrap.py dev

sample:
	@$(BIN)/slicer-notebook sample-data

demo: setup-demo sample
	@$(BIN)/python -m tools.demo $(DEMO)

test: setup sample
	@$(BIN)/python -m pytest -n $(WORKERS) --reruns $(RERUNS) $(PYTEST_ARGS)

lint: setup
	@echo "[lint] ruff check" && $(BIN)/ruff check --quiet .
	@echo "[lint] ruff format" && $(BIN)/ruff format --check --quiet .
	@echo "[lint] mypy --strict" && $(BIN)/mypy
	@echo "[lint] import-linter" && $(BIN)/lint-imports --no-cache

format: setup
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

docs: setup
	@$(BIN)/python -m tools.docs

bench: setup
	@$(BIN)/python -m benchmarks

licences: setup
	@$(BIN)/python -m tools.licences

lock:
	@tools/lock.sh

clean:
	@rm -rf .venv build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
