# Everything runs in .venv, which the first target that needs it makes. On Windows see the README.
#
#   make demo       the main job, offline, on the model in the box -> demo/report.html
#   make test       all tests but the slow ones        make test-slow  the slow ones
#   make guard      has anything become slower?
#   make lint       ruff                               make types      mypy, strict
#   make docs       write docs/reference again         make clean      remove what can be made again

PYTHON ?= python3
WORKERS ?= 2

VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := setup
.PHONY: setup demo test test-slow guard lint types docs clean

setup: $(INSTALLED)

# the stamp is older than these files only when there may be something new to install
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "scumble needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": make setup PYTHON=python3.12 names another")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install -e ".[dev]" -c constraints.txt
	@touch $(INSTALLED)

demo: setup
	$(VENV)/bin/scumble demo --out demo --seed 0

test: setup
	$(RUN) -m pytest -n $(WORKERS) -m "not slow and not gpu"

# tests of one file stay together: one demonstration serves all that look at it
test-slow: setup
	$(RUN) -m pytest -n $(WORKERS) --dist loadscope -m "slow and not gpu"

# ratios, not times, beside those of bench/guard.json
guard: setup
	$(RUN) bench/guard.py

lint: setup
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: setup
	$(RUN) -m mypy

docs: setup
	$(RUN) docs/make_reference.py
	$(RUN) docs/make_memory_table.py
	$(RUN) docs/make_samplers_table.py
	$(RUN) docs/make_what_learns_page.py
	$(RUN) docs/make_speed_page.py

# .venv and runs stay: the one takes minutes, the other is yours
clean:
	rm -rf demo dist .mypy_cache .ruff_cache .pytest_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
