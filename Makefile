# Everything a fresh machine needs is Python 3.11 or newer, a C and C++ compiler, and this file.
#   make demo    build and run the handwritten-digits example
#   make test    lint, types, all tests
#   make bench   engines side by side (BENCH="--models resnet50 --engines mm,ort" narrows it)
#   make lint    lint and types alone
# Each target sets up its own environment in $(VENV) and is quick when nothing has changed.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
VENV ?= .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PROJECTS := . $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/*/pyproject.toml))
NATIVE := $(shell find plugins/backends/cpu/native -type f 2>/dev/null)
WORKERS ?= 2
BENCH ?=

.PHONY: demo test lint bench clean

demo: $(STAMPS)/projects
	$(BIN)/python examples/digits/demo.py

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) -m "not serial"
	$(BIN)/python -m pytest -m serial

lint: $(STAMPS)/test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

bench: $(STAMPS)/bench
	$(BIN)/python -m benchmarks.run $(BENCH)

clean:
	rm -rf $(VENV) build dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "mm needs Python 3.11 or newer; say which with: make PYTHON=/path/to/python3.11"; exit 1; }
	@command -v $${CXX:-c++} > /dev/null \
	  || { echo "mm needs a C and C++ compiler (Debian: apt install g++); or set CC and CXX"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# The in-tree distributions, editable; again whenever one of their build files or the native sources change.
$(STAMPS)/projects: $(BIN)/python $(addsuffix /pyproject.toml,$(PROJECTS)) $(NATIVE)
	$(PIP) install $(addprefix --editable ,$(PROJECTS))
	@mkdir -p $(STAMPS) && touch $@

# PyTorch goes first and alone, so that nothing else chooses its version.
$(STAMPS)/torch: $(BIN)/python
	$(PIP) install torch==2.13.0
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/test: $(STAMPS)/torch $(STAMPS)/projects .ci/requirements-test.txt
	$(PIP) install -r .ci/requirements-test.txt
	@touch $@

$(STAMPS)/bench: $(STAMPS)/test .ci/requirements-bench.txt
	$(PIP) install -r .ci/requirements-bench.txt
	@touch $@
