# Everything sets itself up: no target needs another to be run first by hand.
SHELL := /bin/sh
BIN := .venv/bin

.PHONY: help setup check test demo
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

setup: ## make .venv with gthulhu-reconcile and gthulhu-agent
	@sh scripts/setup

check: setup ## ruff, mypy strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup ## all tests
	$(BIN)/pytest
