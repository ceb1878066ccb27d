# One command for each wish; `make help` lists them. Areas add theirs in hack/*/targets.mk.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export CLUSTER ?= testbed

.PHONY: help setup check generate clean

help: ## Show this list
	@bold=; plain=; if [ -t 1 ]; then bold=$$(printf '\033[1m'); plain=$$(printf '\033[0m'); fi; \
	  awk -v b="$$bold" -v p="$$plain" 'BEGIN {FS = ":.*## "} /^[a-zA-Z0-9_-]+:.*## / \
	    {gsub(/[$$][$$]/, "$$", $$2); printf "  %s%-20s%s %s\n", b, $$1, p, $$2}' $(MAKEFILE_LIST) | sort

setup: $(VENV)/.stamp ## Create the virtual environment with pinned packages

$(VENV)/.stamp: pyproject.toml constraints.txt
	@echo "Installing Python packages into $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

check: setup ## Lint, types and architecture contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file hack/mypy.ini
	$(BIN)/lint-imports --no-cache

generate: setup ## Write everything generated: CRDs, reference pages
	$(BIN)/python -m hack.generate

clean: ## Remove the virtual environment and tool caches of this folder
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

include $(wildcard hack/*/targets.mk)
