# make run: the tour, two notebooks at a time.  make test: every test.  make lab: JupyterLab.  Needs Python 3.11+ and make, no more.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: run real test lab figures lint clean

run: $(READY)
	$(BIN)/workbench run --jobs 2

# The same on MovieLens-1M: from $WORKBENCH_DATA, or downloaded from its public home.
real: $(READY)
	$(BIN)/workbench run --profile real

# The tests write their pictures to build/, so that a test run leaves figures/ as it was. Two run at once, so each
# takes one thread: two times two threads on two cores wait for each other most of the time.
test: lint
	OMP_NUM_THREADS=1 WORKBENCH_FIGURES=$(CURDIR)/build/figures $(BIN)/python -m pytest -n 2 --dist loadfile tests
	OMP_NUM_THREADS=1 WORKBENCH_FIGURES=$(CURDIR)/build/figures $(BIN)/python -m pytest -n 2 --dist loadfile --nbval-lax notebooks/*.ipynb

lab: $(READY)
	$(BIN)/workbench lab

figures: $(READY)
	$(BIN)/workbench run figures --resume

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Made anew only when what it is made from changes.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(None if sys.version_info >= (3, 11) else 'Python 3.11 or newer is needed; try make PYTHON=python3.12')"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $(READY)

clean:
	rm -rf .venv build runs
