# SPDX-License-Identifier: Apache-2.0
# Every target first sets up what it needs in this folder; what is done already is skipped.
#   make demo ARGS='--say "put the blue cube into the bin" --viewer'

SHELL := /bin/bash
ARGS ?=
IN := source setup/environment.sh &&
IN_TESTS := $(IN) source build/peer_messages/install/local_setup.bash &&

# By a linter that comes as a program, which a machine may lack.
linted = if command -v $(firstword $(1)) >/dev/null; then $(1) $(2); else echo '$(firstword $(1)) is not installed: $(2) not checked'; fi
SCRIPTS := gr00t .ci/run docker/entrypoint.sh requirements/lock.sh $(wildcard setup/*.sh)

.PHONY: help setup setup-dev demo test unit node system check format lock docker clean
.NOTPARALLEL:

help:
	@echo 'make demo [ARGS="..."]  the robot obeys a sentence; leaves a video, a bag and a summary in out/demo'
	@echo 'make test [ARGS="..."]  all checks and all tests; ARGS go to pytest'
	@echo 'make check              format, lint, types, import directions, Dockerfile and shell scripts'
	@echo 'make unit|node|system   one layer of the tests'
	@echo 'make setup              only the set-up; ./gr00t <verb> works afterwards'
	@echo 'make format             let ruff rewrite the code'
	@echo 'make lock               pin the requirements again (needs uv)'
	@echo 'make docker             build the image on ros:jazzy (needs docker)'
	@echo 'make clean              remove .venv, build, install and log'

setup:
	@setup/run.sh

setup-dev:
	@setup/run.sh --dev

demo: setup
	@./gr00t demo $(ARGS)

test: check
	@$(IN_TESTS) python setup/run_tests.py $(ARGS)

unit node system: setup-dev
	@$(IN_TESTS) python setup/run_tests.py --layer $@ $(ARGS)

check: setup-dev
	@$(IN) ruff format --check && ruff check
	@$(IN) mypy
	@$(IN) pytest --quiet tests/unit/test_architecture.py
	@$(IN) $(call linted,hadolint,docker/Dockerfile)
	@$(IN) $(call linted,shellcheck --external-sources,$(SCRIPTS))

format: setup-dev
	@$(IN) ruff check --fix; ruff format

lock:
	@requirements/lock.sh $(ARGS)

docker:
	docker compose --file docker/compose.yaml build

clean:
	rm -rf .venv build install log
