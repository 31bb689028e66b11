# The two commands of the README: make run, make test.
.DEFAULT_GOAL := help
.PHONY: help setup fleet-tools run test test-unit test-engine test-browser test-fleet test-faults fuzz audit mlperf-proof lint lock reference reliability clean
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
TEST_VENV := .venv-test
PROOF := tests/mlperf_proof
# Of make fuzz, for each target.
SECONDS ?= 60
UV = $(VENV)/bin/uv
# uv is looked for outside the environment that it makes: "$(PYTHON) -m uv" would be that one's Python.
$(VENV)/.ready: export PATH := $(PATH)
# Ansible takes its settings from ansible.cfg here and not from the user's home.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

help: ## show this text
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.ready ## make the controller's environment in .venv

$(VENV)/.ready: locks/controller.txt agent/pyproject.toml aggregator/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "loadfleet needs Python 3.11 or newer; give one with make PYTHON=...")'
	@command -v uv >/dev/null || $(PYTHON) -m uv --version >/dev/null 2>&1 \
	|| $(PYTHON) -m pip install --quiet --user uv 2>/dev/null \
	|| { $(PYTHON) -m venv .venv-uv && .venv-uv/bin/pip install --quiet uv; } \
	|| { echo "uv could not be installed from PyPI: install it, or your system's python3-venv and python3-pip" >&2; exit 1; }
	@uv=$$(command -v uv || ls .venv-uv/bin/uv 2>/dev/null || echo "$(PYTHON) -m uv"); \
	$$uv venv --quiet --allow-existing --python $(PYTHON) $(VENV); \
	$$uv pip install --quiet --python $(VENV)/bin/python --require-hashes -r locks/controller.txt; \
	$$uv pip install --quiet --python $(VENV)/bin/python --no-deps -e agent -e aggregator
	@touch $@

run: setup ## run the benchmark on the inventory as shipped: two demo hosts on this machine
	ansible-playbook run_benchmark.yml -i inventory/

test: lint test-unit test-engine ## run the test suite, without the test fleet

# An engine needs the machine to itself: LoadGen judges its latencies. All else shares the cores, and
# waits so often that four processes keep two of them busy.
WITH_ENGINE := vllm or e2e

test-unit: $(TEST_VENV)/.ready ## run the tests that start no vLLM
	$(TEST_VENV)/bin/pytest tests/unit -m "not ($(WITH_ENGINE))" --numprocesses 4 --dist loadfile $(PYTEST_ARGS)

test-engine: $(TEST_VENV)/.ready ## run the tests with real vLLM, among them whole playbook runs
	$(TEST_VENV)/bin/pytest tests/unit tests/e2e -m "$(WITH_ENGINE)" $(PYTEST_ARGS)

test-browser: $(TEST_VENV)/.ready ## open reports in Chromium; installs Debian's with root where it is missing
	@test -x /usr/bin/chromium || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null; } \
	|| { echo "make test-browser needs /usr/bin/chromium: apt-get install chromium, or run it as root on Debian" >&2; exit 1; }
	@test -x /usr/bin/chromium \
	|| { apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends chromium fonts-dejavu-core >/dev/null; }
	$(TEST_VENV)/bin/pytest tests/browser $(PYTEST_ARGS)

fuzz: $(TEST_VENV)/.ready ## fuzz each reader of files of hosts for SECONDS (60), with the corpus in a temporary folder
	@$(UV) pip install --quiet --python $(TEST_VENV)/bin/python --require-hashes -r locks/fuzz.txt
	for target in archive document telemetry loadgen samples engine-load inventory; do \
	  $(TEST_VENV)/bin/python tests/fuzz/fuzz.py $$target $(SECONDS); \
	done

audit: $(VENV)/.ready ## ask PyPI which locked versions have known vulnerabilities (make audit AUDIT=--osv: osv.dev); for releases
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv-audit
	@$(UV) pip install --quiet --python .venv-audit/bin/python --require-hashes -r locks/audit.txt
	.venv-audit/bin/python locks/audit.py $(AUDIT)

FLEET_PACKAGES := systemd-container mmdebstrap nftables iproute2 openssh-client gcc libc6-dev libcjson-dev apt-utils dpkg-dev gnupg debian-archive-keyring

# Of make test-faults: 1 is the full matrix, also with vLLM on the machines.
FULL ?= 0

fleet-tools: $(TEST_VENV)/.ready
	@test "$$(id -u)" = 0 || { echo "test machines are booted by systemd-nspawn: run this as root (sudo make ...)" >&2; exit 1; }
	@command -v apt-get >/dev/null || { echo "test machines need Debian or Ubuntu: $(FLEET_PACKAGES) are installed" >&2; exit 1; }
	@dpkg-query --show $(FLEET_PACKAGES) >/dev/null 2>&1 \
	|| { apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $(FLEET_PACKAGES) >/dev/null; }

test-fleet: fleet-tools ## provision and benchmark test machines; needs root on Debian or Ubuntu
	$(TEST_VENV)/bin/pytest tests/fleet $(PYTEST_ARGS)

test-faults: fleet-tools ## break runs on test machines in every way of docs/reliability.md; FULL=1 also with vLLM
	$(TEST_VENV)/bin/pytest tests/faults $(if $(filter 1,$(FULL)),,-m "not full") $(PYTEST_ARGS)

mlperf-proof: setup ## every scenario at MLPerf's length on this machine, packed as submissions; 105 minutes, goes on where it was stopped
	for suite in datacenter edge; do \
	  ansible-playbook run_benchmark.yml -i $(PROOF)/inventory/ -e @$(PROOF)/$$suite.yml; \
	  for division in open closed; do \
	    loadfleet submission results/mlperf-proof-$$suite --submitter loadfleet --division $$division \
	      --system-file $(PROOF)/system.yaml --rehearsal --force; \
	  done; \
	done

# Controller, agent with the CPU build of vLLM, and the tools, in one environment.
$(TEST_VENV)/.ready: $(VENV)/.ready locks/tools.txt locks/agent-cpu.txt
	@wheels=$$(loadfleet wheelhouse --build cpu); \
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(TEST_VENV); \
	UV_CACHE_DIR=$(TEST_VENV)/.uv-cache $(UV) pip install --quiet --python $(TEST_VENV)/bin/python --offline --no-index --find-links "$$wheels" --no-deps -r "$$wheels/requirements.txt"; \
	rm -rf $(TEST_VENV)/.uv-cache; \
	$(UV) pip install --quiet --python $(TEST_VENV)/bin/python --require-hashes -r locks/controller.txt -r locks/tools.txt; \
	$(UV) pip install --quiet --python $(TEST_VENV)/bin/python --no-deps -e agent -e aggregator
	@touch $@

lint: $(TEST_VENV)/.ready ## check style, types, imports, playbooks
	$(TEST_VENV)/bin/ruff check --quiet .
	$(TEST_VENV)/bin/ruff format --quiet --check .
	$(TEST_VENV)/bin/mypy
	$(TEST_VENV)/bin/lint-imports
	$(TEST_VENV)/bin/yamllint --strict .
	PATH="$(CURDIR)/$(TEST_VENV)/bin:$$PATH" $(TEST_VENV)/bin/ansible-lint --offline --strict

reference: $(VENV)/.ready ## write docs/settings.md and docs/schemas/ from the models
	$(VENV)/bin/python -m loadfleet_agent.contract.export docs/schemas
	$(VENV)/bin/python -m loadfleet_aggregator.report.schema docs/schemas
	$(VENV)/bin/python -m loadfleet_aggregator.settings_reference docs/settings.md

reliability: $(TEST_VENV)/.ready ## write the table of docs/reliability.md from the fault suite
	$(TEST_VENV)/bin/python tests/faults/fault_rows.py

lock: $(VENV)/.ready ## lock all versions anew
	$(PYTHON) locks/make_locks.py

clean: ## remove environments, wheels and the demo's data; results/ stays
	rm -rf $(VENV) $(TEST_VENV) .venv-uv .venv-audit .loadfleet
