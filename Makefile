# The two commands of README.md, and what developers repeat. Everything lives in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
OUT ?= results

.PHONY: demo test fast lint types wheel clean help

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: $(STAMP) ## run the quick suite, write the report and the plots, print the table
	$(BIN)/hashbench run --out $(OUT) --workers $(WORKERS)
	$(BIN)/hashbench report $(OUT) --format markdown --output $(OUT)/report.md --plots $(OUT)/plots
	$(BIN)/hashbench report $(OUT) --format csv --output $(OUT)/report.csv
	$(BIN)/hashbench report $(OUT)

test: $(STAMP) ## run the whole test suite
	OMP_NUM_THREADS=1 $(BIN)/python -P -m pytest -n $(WORKERS) --dist loadfile

fast: $(STAMP) ## run the tests that take less than about five seconds each
	OMP_NUM_THREADS=1 $(BIN)/python -P -m pytest -n $(WORKERS) --dist loadfile -m "not slow"

lint: $(STAMP) wheel ## ruff, lint and format; the law of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd build/wheel && ../../$(BIN)/lint-imports ../../pyproject.toml

types: $(STAMP) wheel ## mypy strict against the installed wheel, and on the tests
	cd build && MYPYPATH=wheel ../$(BIN)/mypy --config-file ../pyproject.toml \
		--enable-error-code explicit-override -p hashbench
	cd build && MYPYPATH=wheel:..:../tests ../$(BIN)/mypy --config-file ../pyproject.toml \
		--explicit-package-bases ../tests ../benchmarks/speed ../benchmarks/strength

# Checkers do not read setuptools' package-dir, so the installed wheel is what is checked; and not
# from here, where the folder hashbench/ would hide it.
wheel: $(STAMP)
	rm -rf build/wheel build/lib && mkdir -p build/wheel
	$(BIN)/python -m pip install --quiet --no-deps --no-compile --target build/wheel .

# An editable install: the sources are what runs. Made again when the dependencies may have changed.
$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean: ## remove the environment, build products and results
	rm -rf $(VENV) build results *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
