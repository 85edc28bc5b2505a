# Each target makes the one .venv, installs what it needs and no more, and does nothing of
# that the second time: the stamps are newer than pyproject.toml.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
DATA ?=
RUFF := ruff==0.17.6
BIN := .venv/bin

.PHONY: demo test test-core lint format clean

demo: .venv/demo.stamp
	$(BIN)/python examples/demo.py $(if $(DATA),"$(DATA)")

# One BLAS thread a worker; a page's code blocks run in order, so a file stays with one.
PYTEST = OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

test: .venv/test.stamp
	$(PYTEST) $(TESTS)

# Without torch and open_clip where .venv is new: what needs them is skipped.
test-core: .venv/test-core.stamp
	$(PYTEST) $(TESTS)

lint: .venv/lint.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/lint.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv

.venv/pyvenv.cfg:
	$(PYTHON) -m venv .venv

.venv/demo.stamp: .venv/pyvenv.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[plot]'
	touch $@

.venv/test-core.stamp: .venv/pyvenv.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

.venv/test.stamp: .venv/pyvenv.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test,cli]'
	touch $@

.venv/lint.stamp: .venv/pyvenv.cfg Makefile
	$(BIN)/python -m pip install --quiet $(RUFF)
	touch $@
