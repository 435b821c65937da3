# mxnetseg: `make help` lists the targets.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
JOBS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
STAMP := $(VENV)/.installed
STAMP_DEV := $(VENV)/.installed-dev
# Tests side by side, each on one thread.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal
# Tests of what `make coverage` measures (pyproject.toml names it).
COVERING = tests/engine tests/test_config.py tests/test_eval.py tests/test_launch.py tests/test_metrics.py \
	tests/test_train.py tests/models/test_params_file.py tests/reliability
CODE := mxnetseg tests benchmarks docs train.py eval.py
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help quickstart setup setup-dev test test-slow coverage reliability lint format docs tables oracles bench doctor versions clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Variables: PYTHON=$(PYTHON)  VENV=$(VENV)  JOBS=$(JOBS) (tests side by side)  ARGS=<further arguments of quickstart, test, bench>"

quickstart: $(STAMP) ## install, then generate data, train, evaluate, predict, export: a page shows the result
	@$(BIN)/python -m mxnetseg quickstart $(ARGS)

setup: $(STAMP) ## create .venv with everything that running needs

setup-dev: $(STAMP_DEV) ## the same, with what developing needs

test: $(STAMP_DEV) lint ## check style and run the tests
	@$(PYTEST) $(ARGS)

test-slow: $(STAMP_DEV) ## run the long tests too
	@$(PYTEST) -m "slow or not slow" $(ARGS)

coverage: $(STAMP_DEV) ## measure the branch coverage of engine, metrics, checkpoints and configuration; below 95 % is an error
	@OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest -q -p no:xdist $(COVERING) $(ARGS)
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report

reliability: $(STAMP_DEV) ## run the long checks of reliability one after the other
	@cd tests && PYTHONPATH=$(CURDIR) $(abspath $(BIN))/python -m reliability.fuzz --count 200
	@MXNETSEG_EXAMPLES=1000 $(BIN)/python -m pytest -q tests/reliability/test_properties.py
	@cd tests && for check in kill resume storage mutation; do OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR) $(abspath $(BIN))/python -W ignore -m reliability.$$check; done
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "slow or not slow" tests/test_launch.py
	@$(BIN)/python benchmarks/leaks.py
	@for file in benchmarks/reliability/*.py; do echo "== $$file"; $(BIN)/python $$file; done

lint: $(STAMP_DEV) ## check style
	@$(BIN)/ruff check $(wildcard $(CODE))
	@$(BIN)/ruff format --check $(wildcard $(CODE))

format: $(STAMP_DEV) ## repair what the style check can repair
	@$(BIN)/ruff check --fix $(wildcard $(CODE))
	@$(BIN)/ruff format $(wildcard $(CODE))

docs: $(STAMP_DEV) ## build the documentation as a site in site/; warnings are errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "open site/index.html"

tables: $(STAMP) ## write the tables of the documentation
	@$(BIN)/python -m mxnetseg.tools.tables

oracles: $(STAMP) ## run the reference cases and record how equal the networks are (ARGS=<models>)
	@$(BIN)/python tests/convert/record_oracles.py $(ARGS)

bench: $(STAMP) ## run the benchmarks of this project one after the other
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file $(ARGS); done

doctor: $(STAMP) ## check the installation
	@$(BIN)/python -m mxnetseg doctor

versions: $(STAMP) ## print the versions of what decides the results
	@$(BIN)/python --version
	@$(BIN)/python -m pip --disable-pip-version-check list 2>/dev/null | grep -iE '^(mxnet|gluoncv|numpy|opencv-python|wandb) '

clean: ## remove .venv and everything that runs have written, weights excepted
	rm -rf $(VENV) runs quickstart predictions site .pytest_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed, $(PYTHON) is %d.%d; install it and run: make PYTHON=/path/to/python3.11" % sys.version_info[:2])'
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(STAMP): requirements.txt pyproject.toml | $(BIN)/python
	@echo "installing requirements.txt (once)"
	@$(PIP) install -r requirements.txt
	@$(PIP) install --no-deps --editable .
	@touch $@

$(STAMP_DEV): requirements-dev.txt requirements-demo.txt requirements-docs.txt $(STAMP)
	@echo "installing requirements-{dev,demo,docs}.txt (once)"
	@$(PIP) install $(patsubst %,-r requirements-%.txt,dev demo docs)
	@touch $@
