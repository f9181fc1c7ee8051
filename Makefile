# Two commands are enough: `make up` runs Tollgate, `make test` tests it. `make` alone lists the rest.
.DEFAULT_GOAL := help
.PHONY: help setup up local test faults check lock bench bench-usage bench-local compose-test
export PYTHON ?= python3
# Two processes, each with a Redis and a Postgres of its own; a Redis that is named serves one only. Tests of a file share
# what they start, and files that take long come first by name.
SPREAD := $(if $(TOLLGATE_TEST_REDIS_URL),,-n 2 --dist loadfile --no-loadscope-reorder)
PACKAGES := gateway ledger local_llm tollgate usage_contract usage_worker wire

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

setup: ## Put everything that development needs into .venv
	@sh scripts/setup dev

up: ## Run Tollgate: gateway, page, usage worker, and the local model where there is one (ARGS="--port 9000")
	@sh scripts/setup up
	@exec .venv/bin/tollgate up $(ARGS)

local: ## Build the local model's engine (llama.cpp), once: about six minutes on two cores
	@sh scripts/setup up
	@exec .venv/bin/tollgate local install $(ARGS)

test: setup ## Run the whole suite, with a real Redis and Postgres (ARGS="-k name")
	@sh scripts/system-packages redis-server=redis-server '/usr/lib/postgresql/*/bin/initdb=postgresql' \
	  node=nodejs chromium=chromium faketime=faketime || echo "some tests will be skipped"
	@sh scripts/setup-clients || echo "the tests of client libraries will be skipped"
	@.venv/bin/tollgate local install >/dev/null || echo "the tests of the local model's engine will be skipped"
	@exec .venv/bin/python -m pytest $(SPREAD) $(ARGS)

faults: setup ## Kill, stop and starve everything under load, 2,000 calls a case (under half an hour; ARGS="-k redis")
	@sh scripts/system-packages redis-server=redis-server '/usr/lib/postgresql/*/bin/initdb=postgresql' faketime=faketime
	@TOLLGATE_FAULTS=long exec .venv/bin/python -m pytest tests/faults -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup ## Lint, format, types, import direction, the page's JavaScript
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy $(PACKAGES) bench examples tests
	.venv/bin/lint-imports
	.venv/bin/python -m pytest -q -p no:cacheprovider tests/test_architecture.py
	sh scripts/check-page

lock: setup ## Write the lock files again (ARGS="--upgrade" takes the newest versions)
	@sh scripts/lock $(ARGS)

bench: setup ## Measure the usage worker (ARGS="--events 200000")
	@exec .venv/bin/python -m bench.worker $(ARGS)

bench-usage: setup ## Measure GET /v1/usage on a ledger of ten million events (ARGS="--events 200000")
	@sh scripts/system-packages '/usr/lib/postgresql/*/bin/initdb=postgresql'
	@exec .venv/bin/python -m bench.usage_queries $(ARGS)

bench-local: setup ## Measure the local model: eight users at once, beside bare llama-server and llama_cpp.server
	@exec .venv/bin/python -m bench.local $(ARGS)

compose-test: setup ## Build and start the stack, follow a call to its row in the ledger, and take it down again
	@sh tests/e2e/compose/run
