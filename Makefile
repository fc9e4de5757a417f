# make run     a registry on localhost:5050 (or the container path, where Docker's daemon cannot reach this machine)
# make test    everything the tests need, the checks, then every test
# make crash   the crash matrix, ROUNDS of each fault (100)
# make check   formats, lint, types, the import contract, generated pages
# make bench   openecr beside Debian's docker-registry; more in bench/
# make docs    generate docs/reference again
# make lock    pin the newest versions of the dependencies
#
# Variables: PYTHON (the interpreter for .venv), FLAGS (more flags for `openecr serve`, or for pytest or the bench).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ROUNDS ?= 100
INPUTS := pyproject.toml requirements.lock
# The tests start Python a thousand times: its bytecode is kept, whatever the environment says, where clean finds it.
test crash: export PYTHONDONTWRITEBYTECODE =
test crash: export PYTHONPYCACHEPREFIX = $(CURDIR)/$(VENV)/bytecode

.PHONY: run test crash check format bench docs lock clean
.DELETE_ON_ERROR:

run: $(VENV)/installed
	@deploy/run.sh $(CURDIR)/$(BIN)/openecr $(FLAGS)

test: check
	$(BIN)/python -m tests.side_by_side $(FLAGS)

crash: $(VENV)/installed-dev
	OPENECR_TEST_CRASH_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest --durations=0 tests/many/test_crashes.py $(FLAGS)

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate_reference.py --check

format: $(VENV)/installed-dev
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .

bench: $(VENV)/installed-dev
	$(BIN)/python -m bench $(FLAGS)

docs: $(VENV)/installed-dev
	$(BIN)/python docs/generate_reference.py

$(VENV)/installed: $(VENV)/bin/python $(INPUTS)
	@echo "installing openecr in $(VENV)"
	@$(PIP) install -c requirements.lock -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/bin/python $(INPUTS)
	@echo "installing openecr and what its tests need in $(VENV)"
	@$(PIP) install -c requirements.lock -e ".[dev]"
	@touch $@ $(VENV)/installed

$(VENV)/bin/python:
	@deploy/require-python.sh $(PYTHON)
	@$(PYTHON) -m venv $(VENV)

# From the newest versions that pyproject.toml allows; the tests say whether they do.
lock:
	rm -rf $(VENV)/lock
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip --quiet install ".[dev]"
	sed -i.before '/^[^#]/d' requirements.lock && rm requirements.lock.before
	$(VENV)/lock/bin/python -m pip freeze --exclude openecr >> requirements.lock
	rm -rf $(VENV)/lock build

# What was installed and what tools remember; no data.
clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .hypothesis .import_linter_cache
