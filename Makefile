# `make demo` and `make test` are all a fresh machine needs: Python 3.10+ and a package index.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
# Test processes of one thread each; tests of one network or file stay together (tests/conftest.py).
JOBS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -q -n $(JOBS) --durations 25

.PHONY: demo test test-files test-slow test-long lint bench clean

demo: $(VENV)/.demo
	$(VENV)/bin/python -m fiqa_export.command.demo

test: $(VENV)/.dev
	$(PYTEST)

# Tests that need official weights or pictures: FIQA_WEIGHTS_DIR and FIQA_IMAGES_DIR say where those are.
test-files: $(VENV)/.dev
	$(PYTEST) -m 'files and not slow and not long and not gpu'

# The largest networks: gigabytes of memory, minutes.
test-slow: $(VENV)/.dev
	$(PYTEST) -m 'slow and not long'

# Every precision of the largest networks, searched int8 exports, memory: an hour and more, not part of CI.
test-long: $(VENV)/.dev
	$(PYTEST) -m long

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

$(VENV)/.demo: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV), a few minutes the first time"
	$(PIP) install -c constraints.txt -e '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV), a few minutes the first time"
	$(PIP) install -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.demo

# The CPU table: exports what engines/bench lacks (minutes), then measures for 10 to 15 minutes; keep the machine idle.
# Photos for the rows that start from photos: make bench IMAGES=folder
IMAGES ?= $(FIQA_IMAGES_DIR)
bench: $(VENV)/.dev
	$(VENV)/bin/python -m fiqa_benchmarks.readme_tables.cpu --engines engines/bench --json bench.json $(if $(IMAGES),--images $(IMAGES))

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache
