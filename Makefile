# Each target makes the one .venv, installs what it needs and no more, and does nothing of
# that the second time: the stamps are newer than pyproject.toml.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
DATA ?=
LINTERS := ruff==0.17.6 import-linter==2.17
BIN := .venv/bin

.PHONY: demo test test-core figures browser docs docs-quick lint format clean

demo: .venv/demo.stamp
	$(BIN)/python examples/demo.py $(if $(DATA),"$(DATA)")

# One BLAS thread a worker; a page's code blocks run in order, so a file stays with one. A worker
# that dies ends the run, and is named: one in its place may wait forever.
PYTEST = OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile \
	--max-worker-restart=0

test: .venv/test.stamp
	$(PYTEST) $(TESTS)

# Without torch and open_clip where .venv is new: what needs them is skipped.
test-core: .venv/test-core.stamp
	$(PYTEST) $(TESTS)

# What repeats the figures of a benchmark on real embeddings; some minutes.
figures: .venv/test.stamp
	$(PYTEST) -o faulthandler_timeout=3600 -m figures tests benchmarks/test_figures.py

# For the tests that open pages in a browser; without one they are skipped.
SUDO = $(if $(filter-out 0,$(shell id -u)),$(shell command -v sudo))
browser:
	@if command -v chromium >/dev/null; then chromium --version; \
	elif command -v apt-get >/dev/null && { [ "$$(id -u)" = 0 ] || [ -n "$(SUDO)" ]; }; then \
		$(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q chromium; \
	else echo "make browser installs chromium with apt-get, as root or with sudo. Here, put a" \
		"chromium on the PATH by hand." >&2; exit 1; fi

# The site, into docs/_build/html; a warning is an error, and so is a link that leads nowhere. All
# pages are read anew, or old warnings would go unseen; an example runs again when it has changed.
SPHINX = OPENBLAS_NUM_THREADS=1 $(BIN)/python -m sphinx -E -W --keep-going -n -q -b html
docs: .venv/docs.stamp
	$(SPHINX) docs docs/_build/html

# Without running the examples, and beside the site.
docs-quick: .venv/docs.stamp
	$(SPHINX) -D plot_gallery=0 docs docs/_build/quick

lint: .venv/lint.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

format: .venv/lint.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv docs/_build docs/api docs/gallery

.venv/pyvenv.cfg:
	$(PYTHON) -m venv .venv

.venv/demo.stamp: .venv/pyvenv.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[plot,clip]'
	touch $@

.venv/test-core.stamp: .venv/pyvenv.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

.venv/test.stamp: .venv/pyvenv.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test,cli,dask,milvus,mteb,recipes,sentence-transformers]'
	touch $@

.venv/docs.stamp: .venv/pyvenv.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

.venv/lint.stamp: .venv/pyvenv.cfg Makefile
	$(BIN)/python -m pip install --quiet $(LINTERS)
	touch $@
