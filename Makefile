# One command each from a fresh clone: `make demo`, `make test`. Everything lives in $(VENV); nothing is installed elsewhere.
SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON      ?= $(shell command -v python3.11 || command -v python3)
VENV        ?= .venv
BIN         := $(VENV)/bin
APT         := build-essential git pkg-config libopencv-dev libturbojpeg0-dev python3-dev python3-venv
export PATH := $(if $(filter /%,$(VENV)),,$(CURDIR)/)$(BIN):$(PATH)
export UV_COMPILE_BYTECODE      := 1
export MLFLOW_DISABLE_TELEMETRY := true

unexport PYTHONDONTWRITEBYTECODE  # else every process compiles the package anew

.DEFAULT_GOAL := help
.PHONY: help setup demo smoke all test test-all lint unit fuzz bench gpu ui lock clean

help:
	@echo "make demo    set-up, then the benchmark on handwritten digits (offline, minutes)"
	@echo "make smoke   the same on a small part of CIFAR-10"
	@echo "make all     everything that params.yaml declares"
	@echo "make test    set-up, then lint, types, the import contract and tests, in minutes"
	@echo "make test-all  the same with the campaigns: SLURM, killed workers, DVC from nothing, a wheel by itself"
	@echo "make fuzz    a thousand odd inputs of every kind, where make test tries a few"
	@echo "make bench   benchmarks of selection, search step and loaders"
	@echo "make gpu     what to run first on a machine with a GPU: laws, times, then cells for MINUTES (30)"
	@echo "make ui      MLflow's page over the results"
	@echo "make lock    renew requirements.lock from requirements.in"
	@echo "make clean   remove the virtual environment and all that was made: data, outputs, saved states, MLflow's and DVC's stores"

# Set-up: a stamp for each step, so that a second call has nothing to do.
$(VENV)/.system: Makefile
	@if pkg-config --exists opencv4 2>/dev/null && { pkg-config --exists libturbojpeg 2>/dev/null || [ -e /usr/include/turbojpeg.h ]; } \
	    && command -v git >/dev/null && command -v c++ >/dev/null && $(PYTHON) -c 'import ensurepip, os, sysconfig; assert os.path.exists(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing system packages: $(APT)"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(APT) >/dev/null; \
	else echo "system packages are missing; run:  sudo apt-get install $(APT)" >&2; exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; set PYTHON=/path/to/python3.11")'
	@mkdir -p $(VENV) && touch $@

$(BIN)/uv: bootstrap.lock | $(VENV)/.system
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r bootstrap.lock
	@touch $@

$(VENV)/.synced: requirements.lock build-constraints.txt pyproject.toml | $(BIN)/uv
	@echo "installing the packages of requirements.lock into $(VENV)"
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes --build-constraints build-constraints.txt -r requirements.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --build-constraints build-constraints.txt -e .
	@test -e .git || printf '[core]\n    no_scm = true\n' > .dvc/config.local
	@touch $@

setup: $(VENV)/.synced

demo smoke: setup
	slt-bench run $@

all: setup
	slt-bench plan
	dvc repro

# Together, since tests wait now and then, and mypy keeps one core busy.
test: WITHOUT := -m "not campaign"
test test-all: setup
	@$(MAKE) -j 2 --no-print-directory lint unit WITHOUT='$(WITHOUT)'

lint: setup
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-logo

unit: setup
	python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(WITHOUT)

fuzz: setup
	SLT_BENCH_FUZZ=$${SLT_BENCH_FUZZ:-1000} python -m pytest tests/fuzz

gpu: setup
	python -m benchmarks.gpu --minutes $${MINUTES:-30}

bench: setup
	python -m pytest benchmarks -s --benchmark-columns=median,iqr,rounds --benchmark-sort=name

ui: setup
	mlflow ui --workers 1

LOCK := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --build-constraints build-constraints.txt --custom-compile-command "make lock"
lock: $(BIN)/uv
	$(LOCK) requirements.in -o requirements.lock
	$(LOCK) bootstrap.in -o bootstrap.lock

clean:
	rm -rf $(VENV) data outputs .state mlflow.db* mlruns .dvc/cache .dvc/tmp dvc.lock
