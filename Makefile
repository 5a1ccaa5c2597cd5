# Everything sets itself up: no target needs another to be run first by hand.
SHELL := /bin/sh
BIN := .venv/bin
PYTEST := $(BIN)/pytest --timeout 300

.PHONY: help setup bpf demo check test test-fast test-nightly fuzz schemas \
	contract bench-plan bench-fanout bench-eevdf bench-discovery bench-agent bench-arrivals bench-patterns clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

setup: ## make .venv with gthulhu-reconcile and gthulhu-agent
	@sh scripts/setup

bpf: ## compile the kernel's part of the agent (clang >= 16; as root it is installed)
	@sh scripts/bpf

# For what works without it too; GTHULHU_REQUIRE_ALL=1 makes it a must.
.PHONY: bpf-if-possible
bpf-if-possible:
	@sh scripts/bpf --if-possible

demo: setup bpf-if-possible ## the main job on this machine: policy, plan, push, and what changed in the kernel
	@$(BIN)/python -m demo.run

check: setup ## ruff, mypy strict, import-linter, drift of schemas and generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@sh scripts/generate --check

schemas: setup ## write schemas/ and the generated docs anew
	@sh scripts/generate --write

test: check bpf-if-possible ## all tests; fuzzing and the soak included
	$(PYTEST)
	$(MAKE) fuzz

test-fast: setup ## the tests that need neither root nor minutes
	$(PYTEST) -m 'not kernel and not slow'

test-nightly: setup ## the long soak and the long fuzz
	$(PYTEST) -m nightly --timeout 0
	$(MAKE) fuzz FUZZ_SECONDS=1800

FUZZ_SECONDS ?= 60
fuzz: setup ## hostile bytes against the loader
	$(BIN)/python tests/fuzz_loading.py --seconds $(FUZZ_SECONDS)

# BENCH=--write puts what a benchmark found into docs/performance.md.
BENCH ?=
bench-plan: setup ## planning: full and incremental, beside the plain policies x pods loop
	$(BIN)/python benchmarks/plan.py $(BENCH)

bench-fanout: setup ## pushing to 10,000 virtual agents, beside a bare loop
	$(BIN)/python benchmarks/fanout.py $(BENCH)

bench-eevdf: setup ## what slice, weight and nice do on this kernel
	$(BIN)/python benchmarks/eevdf.py $(BENCH)

bench-agent: setup ## what the agent costs its node, beside the server that one would write first
	@$(BIN)/python benchmarks/agent.py $(BENCH)

bench-discovery: setup ## finding 10,000 processes, beside a walk over /proc
	$(BIN)/python benchmarks/discovery.py $(BENCH)

bench-arrivals: setup ## from a process's exec to its schedule, by each way of hearing, beside a loop over /proc
	$(BIN)/python benchmarks/arrivals.py $(BENCH)

bench-patterns: setup ## 100,000 different patterns, tried together and one by one
	$(BIN)/python benchmarks/patterns.py $(BENCH)

API ?= dm
contract: ## tables of requests and answers against URL=… [API=dm|bss] [PUBLIC_KEY=FILE|TOKEN=…] [ARGS=…]
	@test -n "$(URL)" || { echo 'make contract URL=http://HOST:PORT [API=dm|bss] [PUBLIC_KEY=FILE|TOKEN=…] [ARGS=…]' >&2; exit 64; }
	@$(MAKE) --no-print-directory setup
	@$(BIN)/python -m contract "$(URL)" --api "$(API)" $(if $(PUBLIC_KEY),--public-key "$(PUBLIC_KEY)") $(if $(TOKEN),--token "$(TOKEN)") $(ARGS)

clean: ## take away what make made
	rm -rf .venv .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist agent/gthulhu_agent/bpf/objects
