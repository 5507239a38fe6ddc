# Two commands matter: `make run` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
WEB_WORKERS ?= 1
BASE_URL ?= http://127.0.0.1:$(PORT)
ARGS ?=
N ?= 1000
SEED ?= 1
MUTANT ?=
KIND ?=
NAME ?=
# Processes of the test suite: twice as many as the two processors it is measured on, because many mostly wait. 0 runs
# it in one, which starts faster for a few tests.
TEST_WORKERS ?= 4
BIN := $(VENV)/bin
# uv reads the system's certificates and never downloads an interpreter of its own.
export UV_SYSTEM_CERTS ?= 1
export UV_PYTHON_DOWNLOADS ?= never
# Compiled Python is kept, even where the surroundings say otherwise: the tests start some eighty processes, and each
# would compile all its libraries anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help run test invariants chaos demo lint format messages docs docs-check scaffold image-check lock clean setup-local setup-dev

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# `exec`, so that the process manager is make's own child and notices when make is killed.
run: setup-local ## set up and start everything on this computer (PORT=8000 WEB_WORKERS=1)
	@exec $(BIN)/python -m tools.dev --port $(PORT) --workers $(WEB_WORKERS)

test: setup-dev ## the whole suite on real PostgreSQL and Redis (ARGS="-k name" to choose)
	@ENV_FILE= exec $(BIN)/python -m tools.services -- $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile $(ARGS)

invariants: setup-dev ## prove the invariants of tests/invariants.py with full figures, and print the table (ARGS="-k I39")
	@ENV_FILE= exec $(BIN)/python -m tools.services -- $(BIN)/python -m pytest -m invariant --full-figures -q -n $(TEST_WORKERS) \
		--dist loadfile $(ARGS)

demo: setup-local ## play a frontend over HTTP, step by step, against BASE_URL or a server of its own
	@exec $(BIN)/python -m tools.demo --base-url $(BASE_URL)

chaos: setup-dev ## N payments over all gateways while workers are killed and connections cut (N=1000 SEED=1 MUTANT=)
	@ENV_FILE= exec $(BIN)/python -m tools.chaos -n $(N) --seed $(SEED) --mutant "$(MUTANT)"

lint: setup-dev ## every check that needs no server: style, types, layers, files of deployment
	@exec $(BIN)/python -m tools.lint

format: setup-dev ## rewrite the Python files in the house style
	@$(BIN)/ruff check -q --fix-only .
	@$(BIN)/ruff format -q .

messages: setup-dev ## bring the translations in locale/ in step with the code, and compile them
	@$(BIN)/python -m tools.messages extract compile

docs: setup-dev ## write what is generated from the code: errors, schema, table of gateways
	@DATABASE_URL=sqlite://:memory: $(BIN)/python manage.py build_docs
	@ENV_FILE= DATABASE_URL=sqlite://:memory: $(BIN)/python -m tools.gateway_table

docs-check: setup-dev ## is what is generated from the code up to date?
	@DATABASE_URL=sqlite://:memory: $(BIN)/python manage.py build_docs --check
	@ENV_FILE= DATABASE_URL=sqlite://:memory: $(BIN)/python -m tools.gateway_table --check

scaffold: setup-dev ## start a new part that runs, from templates (KIND=gateway NAME=azam_pay; ARGS=--dry-run to look)
	@DATABASE_URL=sqlite://:memory: $(BIN)/python manage.py scaffold "$(KIND)" "$(NAME)" $(ARGS)

image-check: ## build the image and ask it for its health (needs buildah; skips without)
	@exec tools/image-check.sh

# Versions and hashes, never a host: uv writes an index only when told to, and nothing here tells it.
COMPILE = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock"

lock: setup-local ## resolve pyproject.toml anew into requirements/*.txt (ARGS=--upgrade for the newest)
	@$(COMPILE) $(ARGS) pyproject.toml -o requirements/base.txt
	@$(COMPILE) $(ARGS) pyproject.toml --group local -c requirements/base.txt -o requirements/local.txt
	@$(COMPILE) $(ARGS) pyproject.toml --group dev -c requirements/local.txt -o requirements/dev.txt
	@echo uv | $(COMPILE) $(ARGS) - -o requirements/uv.txt

clean: ## remove the virtual environment, caches and everything `make run` wrote
	@rm -rf $(VENV) var staticfiles .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
		.coverage .coverage.* htmlcov
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup-local:
	@sh tools/setup.sh $(PYTHON) $(VENV) local

setup-dev:
	@sh tools/setup.sh $(PYTHON) $(VENV) dev
