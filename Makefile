# Every target does its own set-up. It needs Python 3.11 or later, a C compiler and the package registries.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

# A folder of data sets that is looked in before anything is downloaded, if there is one.
ifneq ($(wildcard ../shared/data),)
export RENOTE_MIRROR ?= $(abspath ../shared/data)
endif

.PHONY: setup demo test lint format bench bench-quality docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "renote needs Python 3.11 or later; set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,peers]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps denoising-diffusion-pytorch
	touch $(STAMP)

demo: setup
	$(BIN)/renote demo --out report.html

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m benchmarks

# Quality against minutes of training: two hours and a half, which may be stopped and goes on.
bench-quality: setup
	$(BIN)/python -m benchmarks.quality

docs: setup
	$(BIN)/python docs/build.py
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site runs report.html
