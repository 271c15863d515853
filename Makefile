# Two commands are enough for a newcomer: `make run` and `make test`. Both set up what is missing first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test lint format protos breaking lock models clean

run: models ## Serve with the default rules on 127.0.0.1:50051 (gRPC), :50052 (control), :9464 (metrics)
	exec $(BIN)/modgate serve

test: $(VENV)/.dev models ## The whole test suite
	$(BIN)/python -m pytest

lint: $(VENV)/.dev ## Static checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd protos && ../$(BIN)/buf lint
	$(BIN)/python tools/generate_protos.py --check

format: $(VENV)/.dev ## Put the code into the project's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: $(VENV)/.dev ## Write the Python code of the contract
	$(BIN)/python tools/generate_protos.py

breaking: $(VENV)/.dev ## Whether the contract breaks callers of the main branch
	cd protos && ../$(BIN)/buf breaking --against '../.git#branch=main,subdir=protos'

docs: $(VENV)/.dev ## Write the generated parts of docs/
	$(BIN)/python tools/generate_docs.py

lock: $(VENV)/.dev ## Pin what pyproject.toml allows
	$(BIN)/python tools/lock.py

models: $(VENV)/.run ## Fetch the weights that the bundles name, checked by digest
	$(BIN)/modgate models fetch

clean: ## Remove what was installed and fetched
	rm -rf $(VENV) models/bundles/*/*.onnx.part

# The version check is a message for people: pip's own would come after minutes of downloads.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "modgate needs Python 3.11 to 3.13; set PYTHON=/path/to/python3.x" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@
