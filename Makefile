# Drydock. `make` lists the targets; each says what it is for and how long it may take on two cores.
SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help
PY := .venv/bin/python
PORT ?= 8000
SANDBOX ?= 1
unexport PYTHONDONTWRITEBYTECODE # a process that compiles all it imports starts three seconds later

.PHONY: help run demo screenshots faults bench bench-pages prove-access prove-locations test test-fast lint types contracts unit postgres contract e2e real format lock keys clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.$(if $(filter 0,$(SANDBOX)),runtime,all) ## the console with its sandbox on http://127.0.0.1:8000 (SANDBOX=0: without; PORT=…: elsewhere)
	@PORT=$(PORT) SANDBOX=$(SANDBOX) OUTBOUND_ALLOW_LOOPBACK=$${OUTBOUND_ALLOW_LOOPBACK:-1} exec $(PY) -m console.start

demo: .venv/.all ## the main job from nothing, every restored object compared, nothing kept (60 s once the tools are built)
	@$(PY) -m bench.demo

screenshots: .venv/.all ## every page in its states into docs/screenshots/; ONLY="users add-roles-" chooses (8 min)
	@bash .ci/debian chromium pngquant && $(PY) -m bench.screenshots $(ONLY)

faults: .venv/.all ## kills, faults at every step, lost Redis, bad clusters, old dumps; SEED=… replays, ONLY="R1 R7" chooses (40 min)
	@$(PY) -m bench.faults $(ONLY) $(if $(SEED),--seed $(SEED))

bench: .venv/.all ## how fast it is beside what it could be at best, into docs/measured.md; ONLY="P1" chooses (30 min)
	@$(PY) -m bench.speed $(ONLY)

bench-pages: .venv/.all ## list pages of a large console, pages a second beside plain Django (6 min)
	@$(PY) -m bench.speed P5 P10

prove-access: .venv/.all ## who may do what, asked of every page and job for every role and place; audit log, sign-in, headers (2 min)
	@$(PY) -m bench.access $(ONLY)

prove-locations: .venv/.all ## every kind of location to a restore with equal objects, every failure; addresses, secrets, keys (7 min)
	@$(PY) -m bench.locations $(ONLY)

test: .venv/.all ## everything: lint, types, contracts, unit, PostgreSQL, contract, end to end, kills and faults (25 min, tools built)
	@bash .ci/suite lint contracts unit postgres rights real trouble bench

test-fast: .venv/.all ## all that needs no sandbox (60 s)
	@bash .ci/suite lint types contracts unit

lint: .venv/.all ## ruff, djade, djhtml, shell syntax (10 s)
	@bash .ci/suite lint

types: .venv/.all ## mypy, strict (40 s)
	@bash .ci/suite types

contracts: .venv/.all ## who may import whom; missing migrations; system checks (15 s)
	@bash .ci/suite contracts

unit: .venv/.all ## unit and web tests (60 s)
	@bash .ci/suite unit

postgres: .venv/.all ## what touches the database, on PostgreSQL (60 s)
	@bash .ci/suite postgres

contract: .venv/.all ## the same cases against the fakes and the real servers (2 min)
	@bash .ci/suite built contract

e2e: .venv/.all ## end to end on the real stack, in a browser where there are pages (6 min)
	@bash .ci/debian chromium && bash .ci/suite built e2e

real: .venv/.all ## the end to end tests, the main job on PostgreSQL and the contract cases, side by side (6 min)
	@bash .ci/suite real

format: .venv/.all ## rewrite sources in house style
	@.venv/bin/ruff check -q --fix-only . && .venv/bin/ruff format -q .
	@git ls-files 'templates/*.html' | xargs -r .venv/bin/djade --target-version 5.2 || true
	@git ls-files 'templates/*.html' | xargs -r .venv/bin/djhtml || true

lock: .venv/.all ## write requirements.txt and requirements-dev.txt from pyproject.toml
	@.venv/bin/uv pip compile pyproject.toml --generate-hashes --no-header --python-version 3.11 -q -o requirements.txt
	@.venv/bin/uv pip compile --group dev -c requirements.txt --generate-hashes --no-header --python-version 3.11 -q -o requirements-dev.txt

keys: .venv/.runtime ## make the console's keys under var/ unless they are there
	@$(PY) -c "from pathlib import Path; import os; from console.lib import keys; keys.ensure(Path(os.environ.get('DRYDOCK_VAR', 'var')))"

clean: ## remove caches; keeps var/ and .venv/
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache staticfiles

.venv/bin/python:
	@bash .ci/debian python3-venv
	@python3 -m venv .venv

.venv/.runtime: requirements.txt | .venv/bin/python
	@echo "Installing the locked requirements …"
	@$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

.venv/.all: requirements.txt requirements-dev.txt | .venv/bin/python
	@echo "Installing the locked requirements, development ones included …"
	@$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements.txt -r requirements-dev.txt
	@touch .venv/.runtime $@
