# Every target works from a bare checkout: it makes .venv from the lock files in requirements/ first.
# `make help` lists them; it is written from the `##` comments below.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test soak lint format bench lock clean

VENV := .venv
BIN := $(VENV)/bin
BENCH_VENV := .venv-bench
INSTALL := -m pip --disable-pip-version-check --no-input install --quiet --no-compile
PIP_INSTALL := $(BIN)/python $(INSTALL)
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
BENCH := $(BENCH_VENV)/.installed
PEERS := benchmarks/peers/requirements.txt
TYPED := src tests $(wildcard benchmarks)
PYTEST_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?=

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## Start the app with a sandbox of every provider, no account needed; DEMO_ARGS="--port 8100" moves it
	@$(BIN)/replysequence demo $(DEMO_ARGS)

test: $(DEV) ## Run every test, on SQLite, on PostgreSQL and in Chromium; PYTEST_ARGS="-k words" narrows it
	@REPLYSEQUENCE_TEST_POSTGRESQL_BIN="$$(scripts/find_postgresql --install)" && \
	REPLYSEQUENCE_TEST_CHROMIUM="$$(scripts/find_chromium --install)" && \
	export REPLYSEQUENCE_TEST_POSTGRESQL_BIN REPLYSEQUENCE_TEST_CHROMIUM && \
	$(BIN)/python -m pytest --numprocesses=auto --dist=loadfile $(PYTEST_ARGS)

soak: $(DEV) ## Run the crash tests at length and write their figures; SOAK_SENDS=500 shortens it
	@REPLYSEQUENCE_TEST_POSTGRESQL_BIN="$$(scripts/find_postgresql --install)" && \
	export REPLYSEQUENCE_TEST_POSTGRESQL_BIN && \
	PYTHONPATH=tests $(BIN)/python -m crash.soak

lint: $(DEV) ## Check style, format and types; change nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy $(TYPED)

format: $(DEV) ## Put the source into its form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(BENCH) ## Measure what a send costs and write docs/benchmarks.md; BENCH_ARGS="--size small bulk" narrows it
	@REPLYSEQUENCE_TEST_POSTGRESQL_BIN="$$(scripts/find_postgresql --install)" && \
	export REPLYSEQUENCE_TEST_POSTGRESQL_BIN && \
	PYTHONPATH=tests $(BENCH_VENV)/bin/python -m benchmarks $(BENCH_ARGS)

lock: $(DEV) ## Resolve the newest versions anew and write the lock files
	@scripts/lock $(BIN)/uv

clean: ## Remove .venv and every cache; data/ stays
	rm -rf $(VENV) $(BENCH_VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

%/bin/python:
	@python="$$(scripts/find_python)" && echo "Making $* with $$python" && "$$python" -m venv $*

$(RUNTIME): requirements/build.txt requirements/runtime.txt pyproject.toml | $(BIN)/python
	@echo "Installing what ReplySequence runs on, from requirements/build.txt and runtime.txt"
	@$(PIP_INSTALL) --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements/dev.txt $(RUNTIME)
	@echo "Installing what its tests need, from requirements/dev.txt"
	@$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

$(BENCH): requirements/build.txt requirements/runtime.txt $(PEERS) pyproject.toml | $(BENCH_VENV)/bin/python
	@echo "Installing what ReplySequence runs on and is compared with, from requirements/ and $(PEERS)"
	@$(BENCH_VENV)/bin/python $(INSTALL) --require-hashes -r requirements/build.txt -r requirements/runtime.txt -r $(PEERS)
	@$(BENCH_VENV)/bin/python $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
