# The two commands of README.md, and what developers repeat. Everything lives in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
OUT ?= results

.PHONY: demo test fast lint types docs lock audit clean help

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: $(STAMP) ## run the quick suite, write the report and the plots, print the table
	$(BIN)/hashbench run --out $(OUT) --workers $(WORKERS)
	$(BIN)/hashbench report $(OUT) --format markdown --output $(OUT)/report.md --plots $(OUT)/plots
	$(BIN)/hashbench report $(OUT) --format csv --output $(OUT)/report.csv
	$(BIN)/hashbench report $(OUT) --format html --output $(OUT)/board.html
	$(BIN)/hashbench report $(OUT)

test: $(STAMP) ## run the whole test suite
	OMP_NUM_THREADS=1 $(BIN)/python -P -m pytest -n $(WORKERS) --dist loadfile

fast: $(STAMP) ## run the tests that take less than about five seconds each
	OMP_NUM_THREADS=1 $(BIN)/python -P -m pytest -n $(WORKERS) --dist loadfile -m "not slow"

lint: $(STAMP) ## ruff, lint and format; the law of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP) ## mypy strict, on the package and its scripts, and on the tests
	$(BIN)/mypy --enable-error-code explicit-override -p hashbench
	MYPYPATH=tests $(BIN)/mypy --explicit-package-bases tests

docs: $(STAMP) ## the site of the documentation, into build/site; a warning fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

lock: $(STAMP) ## the versions that CI installs, anew: requirements/ci.txt; asks the package index
	$(BIN)/python requirements/lock.py

audit: ## look for known faults in the versions of requirements/ci.txt; needs the network
	test -x build/audit/bin/pip-audit || $(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet pip-audit
	build/audit/bin/pip-audit --requirement requirements/ci.txt --no-deps --disable-pip

# An editable install: the sources are what runs, and what editors and type checkers see, by way of
# the links in src/ and hashbench/. Made again when the dependencies may have changed. torchattacks,
# which the tests wrap, pins a requests of 2020 that it never imports: it comes without its pins.
$(STAMP): pyproject.toml setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps torchattacks==3.5.1
	touch $@

clean: ## remove the environment, build products and results
	rm -rf $(VENV) build results *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
