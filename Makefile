# `make help` lists the verbs a person uses. The build-* targets are called by `sam build`, the image-* ones by CodeBuild.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
SAM_STAMP := .sam/.installed
CLIENTS_STAMP := .clients/.installed
# Layers are built for Lambda's own platform, whatever machine builds them; the local cloud clears this.
LAYER_FLAGS ?= --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 --python-version 3.12 --implementation cp --only-binary=:all:
# Exactly what is locked, and bytecode only for what gets imported.
LOCKED := install --quiet --no-deps --no-compile --require-hashes
# matplotlib, and pip where it asks for the machine's Rust, would write to the home folder.
export MPLCONFIGDIR := $(CURDIR)/.venv/matplotlib
export RUSTUP_HOME := $(CURDIR)/.venv/rustup
PIP := $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m pip --disable-pip-version-check --quiet

.PHONY: help
help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Fleetcast needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	@echo "Installing into .venv ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip --disable-pip-version-check $(LOCKED) -r requirements/dev.txt
	@$(BIN)/pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# SAM pins many libraries, so it lives apart.
$(SAM_STAMP): requirements/sam.txt
	@echo "Installing the SAM CLI into .sam ..."
	@$(PYTHON) -m venv .sam
	@.sam/bin/pip --disable-pip-version-check $(LOCKED) -r requirements/sam.txt
	@touch $@

# Foreign clients for the tests: the aws command line and the SageMaker SDK.
$(CLIENTS_STAMP): requirements/clients.txt
	@echo "Installing foreign clients for the tests into .clients ..."
	@$(PYTHON) -m venv .clients
	@.clients/bin/pip --disable-pip-version-check $(LOCKED) -r requirements/clients.txt
	@touch $@

.PHONY: install
install: $(STAMP) $(SAM_STAMP) ## install everything into this folder

.PHONY: demo
demo: install ## the whole product on this machine: deploy, train, release, serve, ask
	@$(BIN)/fleetcast demo

.PHONY: up down
up: install ## start the local cloud
	@$(BIN)/fleetcast up
down: $(STAMP) ## stop the local cloud; its state stays in .fleetcast/
	@$(BIN)/fleetcast down

.PHONY: deploy
deploy: install ## sam build and sam deploy; ENV=local|dev|staging|prod
	@$(BIN)/fleetcast deploy --env $(or $(ENV),local)

.PHONY: test
test: install $(CLIENTS_STAMP) ## everything that can be checked on one machine
	@$(BIN)/python -m pytest $(ARGS)

.PHONY: check
check: install ## formatting, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

.PHONY: bench-engine
bench-engine: install ## the engine next to stock Prophet, half an hour; FLEETCAST_REALDATA=folder adds real meters
	@for scenario in run answers fleet fidelity; do $(BIN)/python -m benchmarks.engine.$$scenario || exit 1; done
	@test -z "$$FLEETCAST_REALDATA" || $(BIN)/python -m benchmarks.engine.accuracy --data "$$FLEETCAST_REALDATA"
	@$(BIN)/python docs/generate.py

.PHONY: bench-serving
bench-serving: install ## the serving container next to three other servers, half an hour; SOAK=1 adds ten million requests
	@for scenario in run one_process_each loading memory; do $(BIN)/python -m benchmarks.serving.$$scenario || exit 1; done
	@test -z "$$SOAK" || $(BIN)/python -m benchmarks.serving.soak
	@$(BIN)/python -m benchmarks.serving.aims
	@$(BIN)/python docs/generate.py

.PHONY: docs
docs: $(STAMP) ## regenerate the reference tables
	@$(BIN)/python docs/generate.py

.PHONY: lock
lock: $(STAMP) ## lock requirements/*.txt anew from pyproject.toml
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet uv
	@for group in layer parquet build processing training serving dev sam clients; do \
	  $(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
	    --group $$group --output-file requirements/$$group.txt || exit 1; done

.PHONY: clean
clean: down ## remove everything that was installed or made here
	@rm -rf .venv .sam .clients .fleetcast .aws-sam build benchmarks/serving/.peers

.PHONY: build-FleetcastLayer build-ParquetLayer build-SourceLayer
build-FleetcastLayer:
	@$(PIP) $(LOCKED) -r requirements/layer.txt --target "$(ARTIFACTS_DIR)/python" $(LAYER_FLAGS)
	@rm -rf "$(ARTIFACTS_DIR)"/python/botocore* # X-Ray asks for it; the runtime's own fits the runtime's boto3
	@cp -R src/fleetcast "$(ARTIFACTS_DIR)/python/"
	@find "$(ARTIFACTS_DIR)" -name __pycache__ -prune -exec rm -rf {} +
# What EvaluateRun never touches is left out: Lambda allows 250 MB for all layers of a function.
build-ParquetLayer:
	@$(PIP) $(LOCKED) -r requirements/parquet.txt --target "$(ARTIFACTS_DIR)/python" $(LAYER_FLAGS)
	@cd "$(ARTIFACTS_DIR)/python/pyarrow" && rm -rf tests include src libarrow_flight* libarrow_python_flight* _flight*
	@find "$(ARTIFACTS_DIR)" -name __pycache__ -prune -exec rm -rf {} +
build-SourceLayer:
	@mkdir -p "$(ARTIFACTS_DIR)/src" "$(ARTIFACTS_DIR)/requirements"
	@cp -R Makefile containers buildspecs "$(ARTIFACTS_DIR)/"
	@cp -R src/fleetcast "$(ARTIFACTS_DIR)/src/"
	@cp requirements/processing.txt requirements/training.txt requirements/serving.txt requirements/build.txt "$(ARTIFACTS_DIR)/requirements/"
	@find "$(ARTIFACTS_DIR)" -name __pycache__ -prune -exec rm -rf {} +

.PHONY: image-training image-serving
image-training:
	@python3 -c 'import boto3' 2>/dev/null || python3 -m pip install --quiet --require-hashes -r requirements/build.txt
	@containers/build processing training
image-serving:
	@python3 -c 'import boto3' 2>/dev/null || python3 -m pip install --quiet --require-hashes -r requirements/build.txt
	@containers/build serving
