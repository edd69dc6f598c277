# Two commands do everything: `make demo` and `make test`. Needs Python 3.11+ and make.
PYTHON ?= python3
PROCESSES ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo test test-slow check format frontend bench clean

help:
	@echo "make demo    train a small network on real images, open its run in the browser"
	@echo "make test    run all tests (browser tests where Chromium is found); PROCESSES=4 for more at once"
	@echo "make check   format, lint, types, import floors"
	@echo "make format  format Python and TypeScript"
	@echo "make bench   the benchmarks, quick form"

$(READY): requirements-dev.txt pyproject.toml hatch_build.py tools/bundle.py
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "huelapse needs Python 3.11 or newer, found %d.%d; say make PYTHON=python3.11" % v[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(READY)

frontend: $(READY)
	@$(BIN)/python tools/bundle.py

demo: frontend
	$(BIN)/huelapse demo

test: frontend
	$(BIN)/python tools/bundle.py --run test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n $(PROCESSES) --dist loadfile

test-slow: frontend
	$(BIN)/python -m pytest -m slow -s

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/codespell README.md ARCHITECTURE.md CHANGELOG.md docs src tests benchmarks tools frontend/src
	$(BIN)/python tools/bake_palettes.py --check
	$(BIN)/python tools/bundle.py --run check
	$(BIN)/python tools/bundle.py --run format:check

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .
	$(BIN)/python tools/bundle.py --run format

bench: frontend
	for script in benchmarks/*.py; do $(BIN)/python $$script --quick || exit 1; done

clean:
	rm -rf $(VENV) frontend/node_modules src/huelapse/viewer/static dist build
