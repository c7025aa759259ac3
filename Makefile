# make app    the page on http://localhost:8501      make check   lint and types          make bench      the tables
# make test   every test                             make setup   what both run first     make embedded   retrain the built-in models
PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,$(shell $(p) -c 'import sys; sys.version_info >= (3, 11) and print("$(p)")' 2>/dev/null)))
VENV ?= .venv
PORT ?= 8501
BIN := $(VENV)/bin
HAS_CHROMIUM := $(BIN)/python -c 'from xrayinterp.cli.doctor import chromium; raise SystemExit(chromium() is None)'
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Real radiographs are used where they lie beside the checkout, unless the caller says otherwise.
ifeq ($(origin XRAYINTERP_DATA),undefined)
ifneq ($(wildcard ../shared/data/.),)
export XRAYINTERP_DATA := $(abspath ../shared/data)
endif
endif

.PHONY: setup setup-test app test check bench embedded clean
.DELETE_ON_ERROR:

setup: $(VENV)/.setup.stamp

setup-test: $(VENV)/.test.stamp $(VENV)/.chromium.stamp

# Made once: a virtual environment outlives changes of the interpreter it was made from.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "xrayinterp needs Python 3.11 or later: install one, or name it with make PYTHON=/path/to/python3."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.setup.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing xrayinterp (the first time takes some minutes) ..."
	$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.test.stamp: $(VENV)/.setup.stamp
	$(PIP_INSTALL) -e ".[test]"
	@touch $@

# A browser that cannot be installed is said so, not fatal: the tests that drive one are then skipped with that reason.
$(VENV)/.chromium.stamp: $(VENV)/.test.stamp
	@if $(HAS_CHROMIUM); then touch $@; \
	elif test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq \
	  && apt-get install -y -qq --no-install-recommends chromium && $(HAS_CHROMIUM); then touch $@; \
	elif $(BIN)/python -m playwright install chromium && $(HAS_CHROMIUM); then touch $@; \
	else echo "No Chromium found and none could be installed: browser tests will be skipped."; fi

app: setup
	$(BIN)/python -m streamlit run app.py --server.address localhost --server.port $(PORT) --server.headless true

# two processes of one thread each: threads that wait for each other would cost more than they give
test: setup-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

check: $(VENV)/.test.stamp
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

bench: $(VENV)/.test.stamp
	@set -e; for file in benchmarks/*.py; do echo "$$file"; $(BIN)/python "$$file"; done

embedded: setup
	$(BIN)/python -m xrayinterp.training.embedded
	$(BIN)/python -m xrayinterp.anomaly.shipped
	$(BIN)/python -m xrayinterp.anomaly.reference
	$(BIN)/python -m xrayinterp.anomaly.gate_fit
	$(BIN)/python -m xrayinterp.dissection.shipped
	$(BIN)/python -m xrayinterp.dissection.unit_facts

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
