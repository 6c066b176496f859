# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

ENGINE ?= aurora_postgresql
SABOTAGE ?=
GTID ?=
GRAPH ?=
RUNS ?= 10
TESTS ?=
python = .venv/bin/python
gates = ansible-lint ansible-test-sanity ansible-test-units changelog checks docs galaxy-importer molecule mypy ruff yamllint

.PHONY: help setup demo test bench lint acceptance ci lock clean $(gates)
.DEFAULT_GOAL := help

help:
	@echo 'make demo        blue/green under write load on a local AWS; ENGINE=$(ENGINE) SABOTAGE=fence|position|marker'
	@echo '                 ENGINE=aurora_postgresql|aurora_postgresql_global|aurora_mysql|neptune|rds_managed; GTID=off for a MySQL blue without,'
	@echo '                 GRAPH=rdf for a Neptune blue that holds one, in place of a property graph'
	@echo 'make test        unit tests and behaviour tests on real servers; TESTS=path picks some'
	@echo 'make lint        the quick gates; each gate is a target too:'
	@echo '                 $(gates)'
	@echo 'make ci          what CI runs: make test and every gate'
	@echo 'make bench       the window of $(RUNS) switchovers'
	@echo 'make acceptance  demo, sabotaged demos, kills, the real AWS wrappers (Java 17 and Maven) and bench, end to end'
	@echo 'make setup       only prepare the environment (.venv), which the others do by themselves'
	@echo 'make clean       remove what was made in this checkout; the shared cache stays'

setup:
	@sh .ci/setup

demo: setup
	@$(python) -m tests.lab.demo --engine $(ENGINE) $(if $(SABOTAGE),--sabotage $(SABOTAGE)) $(if $(GTID),--gtid $(GTID)) $(if $(GRAPH),--graph $(GRAPH))

test: setup
	@$(python) -m pytest $(TESTS)

bench: setup
	@$(python) -m tests.bench switchover --engine $(ENGINE) --runs $(RUNS)

$(gates): setup
	@$(python) .ci/gates.py $@

lint: setup
	@$(python) .ci/gates.py checks ruff yamllint mypy ansible-lint

acceptance: setup
	@$(python) .ci/acceptance.py --engine $(ENGINE) --runs $(RUNS)

ci:
	@bash .ci/run

# Resolve the requirements anew and pin what came of it.
lock:
	@sh .ci/setup --lock

clean:
	@rm -rf .ansible .build .mypy_cache .pytest_cache .ruff_cache .hypothesis .venv tests/output
