# `make demo` and `make test` are all a fresh machine needs: Python 3.10+ and a package index. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
# Test processes of one thread each; tests of one network or file stay together (tests/conftest.py). A run ends where
# one of the processes dies: with another in its place it would wait for ever.
JOBS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -q -n $(JOBS) --max-worker-restart 0 --durations 25
SHUFFLE ?= 1
FUZZ ?= 20000
# Photos for the rows of `make bench` that start from photos.
IMAGES ?= $(FIQA_IMAGES_DIR)

.PHONY: help demo test test-shuffled test-files test-slow test-long fuzz soak kill threads scale ray serving eval-speed lint format docs sbom lock audit bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## the main job, end to end: export, prove, find, score, draw; ends with a page, demo/index.html
	$(VENV)/bin/python -m fiqa_export.demo

test: $(VENV)/.dev ## the tests that need nothing but this checkout
	$(PYTEST)

test-shuffled: $(VENV)/.dev ## the same tests in another order: SHUFFLE=7 for that of seed 7
	SHUFFLE=$(SHUFFLE) $(PYTEST) -p tests.help.shuffled

test-files: $(VENV)/.dev ## the tests that need FIQA_WEIGHTS_DIR and FIQA_IMAGES_DIR: official weights, pictures
	$(PYTEST) -m 'files and not slow and not long and not gpu'

test-slow: $(VENV)/.dev ## the largest networks: gigabytes of memory, minutes
	$(PYTEST) -m 'slow and not long'

test-long: $(VENV)/.dev ## every precision of the largest networks, searched int8 exports: an hour and more, not in CI
	$(PYTEST) -m long

fuzz: $(VENV)/.dev ## damaged files and random command lines: FUZZ=20000 cases, others each time
	FIQA_FUZZ=$(FUZZ) $(VENV)/bin/python -X faulthandler -m pytest -q tests/fuzz

soak: $(VENV)/.dev ## 200,000 scores, 5,000 photos, 100,000 frames of a stream: memory and open files stay flat
	$(VENV)/bin/python -m tests.endurance.soak

kill: $(VENV)/.dev ## 100 kills of export, int8 export and scoring, 50 of runs that go on: nothing that loads is wrong, leftovers go
	$(VENV)/bin/python -m tests.endurance.kill

threads: $(VENV)/.dev ## 10,000 scores from 8 threads on each backend are bit-equal to serial ones; threads against processes
	$(VENV)/bin/python -m tests.endurance.threads

scale: $(VENV)/.dev ## fiqa-score over 200,000 crops: two processes against one, what writing costs, memory stays flat
	$(VENV)/bin/python -m tests.endurance.scale

ray: $(VENV)/.dev ## what Ray Data costs for each row beyond a plain pool of processes
	$(VENV)/bin/python -m tests.endurance.ray_rows

serving: $(VENV)/.dev ## fiqa-serve under 32 clients against the scorer alone, and 10,000 fuzzed requests
	$(VENV)/bin/python -m tests.endurance.serving

eval-speed: $(VENV)/.dev ## fiqa-eval score and embed against the bare backend on prepared tensors, by turns
	$(VENV)/bin/python -m tests.endurance.evaluation

lint: $(VENV)/.dev ## ruff, its formatting, mypy --strict over packages and tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.dev ## bring the code into shape: sorted imports, ruff's formatting
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(VENV)/.dev ## what comes from the code (schemas, parts of pages), then the site, strictly: site/index.html
	$(VENV)/bin/python -m docs.generate
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict

sbom: $(VENV)/.dev ## what an install on a device consists of, as CycloneDX: sbom.json
	rm -rf $(VENV)-device && $(PYTHON) -m venv $(VENV)-device
	$(VENV)-device/bin/python -m pip --disable-pip-version-check --quiet install -c constraints.txt '.[headless,onnxruntime]'
	$(VENV)-device/bin/python -m pip --disable-pip-version-check --quiet uninstall -y setuptools pip
	$(VENV)/bin/cyclonedx-py environment --pyproject pyproject.toml --of JSON -o sbom.json $(VENV)-device/bin/python

lock: $(VENV)/.dev ## requirements.lock anew: every package of `.[dev]` with the SHA-256 of its file here
	$(PIP) install --dry-run --ignore-installed --report lock.json -c constraints.txt '.[dev]'
	$(VENV)/bin/python .ci/lock.py lock.json requirements.lock

audit: $(VENV)/.dev ## the lock against its hashes, and its packages against known vulnerabilities
	$(PIP) install -c constraints.txt pip-audit
	$(PIP) download --no-deps --require-hashes --dest $(VENV)/locked -r requirements.lock
	$(VENV)/bin/pip-audit --disable-pip -r requirements.lock

bench: $(VENV)/.dev ## the CPU table of docs/evidence/cpu.md, 10 to 15 minutes on an idle machine; IMAGES=folder for its photos
	$(VENV)/bin/python -m fiqa_benchmarks.readme_tables.cpu --engines engines/bench --json bench.json $(if $(IMAGES),--images $(IMAGES))

clean: ## remove the environment, the demo and caches
	rm -rf $(VENV) $(VENV)-device demo site sbom.json .pytest_cache .mypy_cache .ruff_cache

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
