# Everything a newcomer needs: `make demo` and `make test`. Each sets up its own virtual environment first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RECTOOLS := .venv-rectools

# LightFM's source build would tune itself to the machine that it is built on; the same code should run everywhere.
export LIGHTFM_NO_CFLAGS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test chaos lint bench rectools lock clean

help: ## Say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(READY): requirements-build.lock requirements.lock pyproject.toml recommender/kernels/compiled.pyx recommender/kernels/lists.c recommender/kernels/standings.c $(wildcard recommender/kernels/*.h)
	@echo "Setting up a virtual environment in $(VENV) (a few minutes the first time) ..."
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "Python 3.11, 3.12 or 3.13 is needed, this is %d.%d. Say which: make PYTHON=python3.12" % v)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-build.lock
	@$(BIN)/python -m pip install --quiet --require-hashes --no-build-isolation -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $(READY)

demo: $(READY) ## Simulate a small community, train, serve, and print the links
	@$(BIN)/assent demo

test: $(READY) ## Run every test: SQLite, PostgreSQL, and Chromium where there is one
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile

chaos: $(READY) ## Kill, cut off and fill up a hundred times, on both databases (about half an hour)
	@CHAOS_KILLS=100 CHAOS_SECONDS=300 $(BIN)/python -m pytest tests/chaos --capture=no --no-header -q

lint: $(READY) ## Check style, types and the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(READY) ## Print the benchmarks, as ratios measured in one run
	@$(BIN)/python -m benchmarks

$(RECTOOLS)/.ready: benchmarks/rectools.lock
	@$(PYTHON) -m venv $(RECTOOLS)
	@$(RECTOOLS)/bin/python -m pip install --quiet --require-hashes -r benchmarks/rectools.lock
	@touch $@

rectools: $(RECTOOLS)/.ready ## Set up RecTools beside, for its benchmark (Python 3.11 or 3.12)

lock: ## Resolve the dependencies again, with hashes and without naming an index
	@uv pip compile pyproject.toml --group dev --extra evaluation --extra dask --extra s3 --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate --quiet --upgrade --output-file requirements.lock
	@uv pip compile --group build --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate --quiet --upgrade --output-file requirements-build.lock

clean: ## Remove what was made here
	@rm -rf $(VENV) $(RECTOOLS) build recommender/kernels/compiled.c recommender/kernels/*.so demo reports .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
