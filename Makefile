# `make help` lists what can be done. Everything installs into .venv; nothing else is touched.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet

.PHONY: help install run test system-packages check unit bench alerts dashboards manifests dashboards-preview docs format \
	lock secrets clean

help: ## Say what can be done
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

install: $(STAMP) ## Install the pinned dependencies and this package into .venv

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@

run: install ## Start service, simulated provider, canaries and a trickle of generations; say what to open
	$(BIN)/monitor demo

test: install system-packages check unit ## Install, then run all checks and tests

system-packages: ## Install the Debian packages that the tests use, when this is Debian and you are root
	@sh .ci/system-packages

check: install ## Lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: install ## Run the tests; they hold built files against their sources, too
	$(BIN)/pytest -n auto --dist loadgroup

bench: install ## Measure speed and memory against a bare client; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks

alerts: install ## Rebuild the alert rules from alerts/slo.toml, what canaries are planned by, and the manifests
	$(BIN)/python -m alerts
	$(BIN)/python -m deploy.manifests

dashboards: install ## Rebuild the dashboards' JSON, and the manifests that hold it
	$(BIN)/python -m dashboards.build
	$(BIN)/python -m deploy.manifests

manifests: alerts dashboards ## Rebuild what the Prometheus operator and Grafana in Kubernetes read, with its sources

dashboards-preview: install ## Draw the dashboards from a run of six minutes into docs/dashboards/
	$(BIN)/python -m tests.dashboards.preview

docs: install ## Rebuild the files that are built from code
	$(BIN)/python -m monitor.telemetry.docs
	$(BIN)/python -m monitor.simulator.docs
	$(BIN)/python -m monitor.settings.docs

format: install ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## Pin the newest dependencies that fit (needs uv): for development, for the image, for building the image
	$(LOCK) --extra dev --upgrade pyproject.toml -o requirements.lock
	$(LOCK) --upgrade --constraint requirements.lock pyproject.toml -o requirements-run.lock
	echo hatchling | $(LOCK) --upgrade --constraint requirements.lock - -o requirements-build.lock

secrets: ## Make the missing secrets of docker-compose.yml in deploy/secrets
	sh deploy/make-secrets

clean: ## Remove what was built and installed
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
