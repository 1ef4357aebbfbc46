# Needs Python 3.11 or newer, and make. Everything else goes into .venv.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
CREATED := $(VENV)/.created
SBOM_VENV := build/sbom-venv
RUNTIME := $(VENV)/.requirements-installed
DEV := $(VENV)/.requirements-dev-installed
PYTEST := $(PY) -m pytest
# The tests' byte code is kept: each worker would spend 4 s on it.
export PYTHONDONTWRITEBYTECODE :=
# Tests wait a lot, so twice as many workers as the smallest machine has cores.
WORKERS ?= 4
# A file goes to one worker, for its tests share what is slow to make; long ones go first.
SIDE_BY_SIDE = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# They wait a lot as well; in the long form, whose limits are strict, one after the other.
TWO_AT_A_TIME = $(if $(LIVEPOLL_LONG),,-n 2 --dist load)
# The first of the two waits most of its time, and the second fills it.
REST_OF_TESTS = $(if $(LIVEPOLL_LONG),,--jobs 2 --output-sync=target WORKERS=2)
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run cluster test test-servers test-alone test-embedded test-fast check-long chaos
.PHONY: check lint format audit sbom hostile fuzz bench screenshots messages browser clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(RUNTIME) ## Serve on this machine, SQLite and one process (PORT=8000)
	@RATE_LIMITS=$${RATE_LIMITS:-off} exec $(PY) manage.py serve

cluster: $(DEV) ## Serve with PostgreSQL, Redis and several processes (WEB_PROCESSES=2)
	@RATE_LIMITS=$${RATE_LIMITS:-off} exec $(PY) -m deploy.cluster

test: test-servers ## Test everything, on both backends, in short form
	@$(MAKE) --no-print-directory $(REST_OF_TESTS) test-alone test-embedded

test-servers: $(DEV) browser ## On PostgreSQL and Redis, with workers side by side (WORKERS=4)
	$(PYTEST) $(SIDE_BY_SIDE) -m "not alone"

test-alone: $(DEV) browser ## What measures, or takes all that the machine has: two at a time
	$(PYTEST) $(TWO_AT_A_TIME) -m alone

test-embedded: $(DEV) ## What has a database, on SQLite; e2e and chaos tests choose their own backend
	$(PYTEST) $(SIDE_BY_SIDE) --backend=embedded -m "not e2e and not chaos"

test-fast: $(DEV) ## In a minute: no server, no browser; SQLite where there is a database
	$(PYTEST) $(SIDE_BY_SIDE) --fast

check-long: $(DEV) ## Everything in its long form: hours (CHAOS_SEED repeats what chance had made)
	LIVEPOLL_LONG=1 $(MAKE) lint test
	$(PY) -m bench --quick

chaos: $(DEV) ## The long chaos run, 45 minutes (CHAOS_SEED, CHAOS_FAULTS, CHAOS_VOTES, CHAOS_SOCKETS)
	$(PY) -m tests.chaos
	LIVEPOLL_LONG=1 $(PYTEST) -s -o log_cli=false tests/chaos tests/e2e/test_schema_conformance.py

check: format lint test ## What to run before a commit: format, lint, test

lint: $(DEV) ## Ruff, its formatter's check, and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy .

format: $(DEV) ## Format the code and fix what ruff can fix
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

audit: $(DEV) ## Do the pins agree, and is a vulnerability of any of them known? Asks the internet
	$(PY) -m pip check
	@$(PY) -m pip_audit --strict --progress-spinner off -r requirements.txt -r requirements-dev.txt || { \
	  echo "make audit did not pass. Either vulnerabilities stand above, or an error: then the" >&2; \
	  echo "data on vulnerabilities cannot be reached from here, and nothing is known." >&2; \
	  exit 1; }

sbom: $(DEV) ## sbom.json: what a server installs, with versions and licences (CycloneDX)
	rm -rf $(SBOM_VENV)
	$(PYTHON) -m venv $(SBOM_VENV)
	$(SBOM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(PY) -m cyclonedx_py environment --output-reproducible --validate \
	  --pyproject pyproject.toml --mc-type application --output-file sbom.json $(SBOM_VENV)
	rm -rf $(SBOM_VENV)

hostile: $(DEV) ## Honest voters beside hostile clients, half an hour (HOSTILE_SECS, HOSTILE_CONNECTIONS)
	$(PY) -m tests.hostile
	$(PY) -m tests.hostile --nginx

fuzz: $(DEV) ## 50,000 requests made from the schema, 20,000 broken frames, 100,000 broken inputs
	LIVEPOLL_LONG=1 $(PYTEST) -s -o log_cli=false tests/e2e/test_schema_conformance.py \
	  tests/chaos/test_fuzz_sockets.py $(wildcard tests/transport/test_fuzz_bytes.py)

bench: $(DEV) ## The figures of docs/performance.md (ARGS="..." goes to python -m bench)
	$(PY) -m bench $(ARGS)

screenshots: $(DEV) browser ## Pictures of every page and state, in test-artifacts/screenshots/
	$(PY) -m tests.e2e.screenshots $(ARGS)

messages: ## Compile the translations in web/locale/ (needs gettext's msgfmt)
	@for po in web/locale/*/LC_MESSAGES/*.po; do msgfmt --check-format -o "$${po%.po}.mo" "$$po"; done

browser: $(DEV)
	@$(PY) -m tests.ensure_browser

clean: ## Remove caches and what the tests left; data/ and .venv stay
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage test-artifacts staticfiles sbom.json build
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# Stamps: an up-to-date environment costs nothing, a changed requirements file reinstalls.
$(CREATED):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "livepoll needs Python 3.11 or newer; '$(PYTHON)' is not. Try: make PYTHON=python3.12" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make environments with pip. On Debian and Ubuntu:" >&2; \
	  echo "  apt-get install python3-venv" >&2; \
	  exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@touch $@

$(RUNTIME): requirements.txt $(CREATED)
	$(PIP_INSTALL) -r requirements.txt
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@
