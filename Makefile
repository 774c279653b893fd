# All targets run in the virtual environment $(VENV), which is created when a target needs it and
# updated when a lock file changes. `serve` installs only the dependencies of the service; the other
# targets install the tools as well.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
DEVELOPED := $(VENV)/developed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install serve test pythons coverage storm mutants lint format docs lock bench soak clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

install: $(DEVELOPED) ## Create the environment with all tools (other targets do it if needed)

$(INSTALLED): requirements.lock requirements-build.lock pyproject.toml src/streetlight/__init__.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: expected Python 3.11 or newer; choose one with: make PYTHON=python3.13 …")'
	@test -e $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) …"
	@$(PIP) --require-hashes --requirement requirements.lock --requirement requirements-build.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEVELOPED): requirements-dev.lock $(INSTALLED)
	@echo "installing the tools into $(VENV) …"
	@$(PIP) --require-hashes --requirement requirements-dev.lock
	@touch $@

serve: $(INSTALLED) ## Train a version if there is none, and serve on http://127.0.0.1:8000
	@exec $(BIN)/streetlight serve

test: $(DEVELOPED) ## Run the tests except the storms; ARGS are passed to pytest
	$(BIN)/pytest -m "not storm" $(ARGS)

PYTHONS ?= python3.11 python3.12 python3.13 python3.14
pythons: ## Run the tests that start no process with each of PYTHONS
	@for python in $(PYTHONS); do \
	  $(MAKE) --no-print-directory install PYTHON=$$python VENV=$(VENV)-$$python && \
	  $(VENV)-$$python/bin/pytest -m "not process and not storm" || exit; \
	done

# Processes that run in other directories write their data here, too.
coverage: export COVERAGE_FILE = $(CURDIR)/.coverage
coverage: $(DEVELOPED) ## Run the same tests with branch coverage, in twice the time
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not storm" --timeout 300
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

storm: $(DEVELOPED) ## Run the fault tests: kill and stop processes, fill the disk, restart
	STORM_ROUNDS=$${STORM_ROUNDS:-300} $(BIN)/pytest -m storm --timeout 3000

mutants: $(DEVELOPED) ## Change the code in small ways, and list the changes that no test notices
	$(BIN)/python -m tests.mutants $(ONLY)

lint: $(DEVELOPED) ## Check style, types and imports between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEVELOPED) ## Format the code, and apply automatic fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DEVELOPED) ## Generate the reference, the HTML of the tutorial, the notebook and the pictures
	$(BIN)/python -m tests.reference
	$(BIN)/python -m tests.tables
	$(BIN)/python -m tests.architecture
	$(BIN)/python -m tests.tutorial_pictures
	$(BIN)/python -m tests.tutorial
	$(BIN)/python -m tests.notebook
	$(BIN)/python -m tests.page.pictures

COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --upgrade \
	--fork-strategy fewest --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-annotate --custom-compile-command "make lock" --quiet

lock: $(DEVELOPED) ## Update the lock files to the newest versions
	$(COMPILE) pyproject.toml --extra server --output-file requirements.lock
	$(COMPILE) pyproject.toml --extra server --group dev --output-file requirements-dev.lock
	$(COMPILE) --group build --output-file requirements-build.lock
	$(COMPILE) --group postgresql --constraint requirements.lock --output-file requirements-postgresql.lock
	$(COMPILE) --group otel --constraint requirements.lock --output-file requirements-otel.lock
	$(COMPILE) --group ci --output-file .ci/requirements.lock
	$(COMPILE) --group ci-files --no-deps --output-file .ci/requirements-files.lock
	$(COMPILE) --group ci-clients --output-file .ci/requirements-clients.lock

bench: $(DEVELOPED) ## Run the benchmarks; ONLY=serving runs one of them
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks $(ONLY)

soak: $(DEVELOPED) ## Send mixed load for half an hour, and write what grows; SOAK_SECONDS=60 shortens it
	$(BIN)/python -m benchmarks.soak

clean: ## Remove the environment and all generated files, but not data/
	rm -rf $(VENV) $(VENV)-python* .bench build src/*.egg-info .coverage* .hypothesis .import_linter_cache .mutants .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
