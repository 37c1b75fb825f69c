# make demo   sets everything up and runs the main job
# make test   sets everything up and runs all tests
# make check  the quick tests, on SQLite only: after every change
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A file's tests share what takes long to make, and the steps of a page follow each other. Not
# loadgroup: pytest-xdist 3.8.0 names groups in _nodeid, which pytest 9.2 no longer reads.
# Many wait for processes of their own: one more than there are cores, at most four.
BESIDE = $(shell $(PYTHON) -c 'import os; print(min(4, 1 + os.cpu_count()))')
PYTEST = $(BIN)/python -m pytest --numprocesses $(BESIDE) --dist loadfile --no-loadscope-reorder
# The tests start several hundred processes: each would compile the sources anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check lint clean

demo: $(VENV)/installed
	$(BIN)/tuner demo

test: $(VENV)/installed-test
	$(PYTEST)

check: $(VENV)/installed-test
	$(PYTEST) -m "not slow and not postgresql"

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict tuner

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  f"bnn-tuner needs Python 3.11 or newer, {sys.executable} is {sys.version.split()[0]}; \
	  name another with: make PYTHON=python3.12 demo")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	@echo "installing into $(VENV); torch is large, the first time takes some minutes"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(VENV)/bin/python
	@echo "installing into $(VENV); torch is large, the first time takes some minutes"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) results .pytest_cache .mypy_cache .ruff_cache .hypothesis
