# make demo   sets everything up and runs the main job
# make test   sets everything up and runs all tests
# make check  the quick tests, on SQLite only: after every change
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadgroup
# A page's steps follow each other, and its server has the port that the page names.
IN_ORDER := tests/test_documents.py

.PHONY: demo test check lint clean

demo: $(VENV)/installed
	$(BIN)/tuner demo

test: $(VENV)/installed-test
	$(PYTEST) --ignore $(IN_ORDER)
	$(BIN)/python -m pytest $(IN_ORDER)

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
