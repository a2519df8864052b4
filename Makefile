# Everything lives in .venv. Set-up is done once, and again when the project or a pin changes.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo test check bench bench-peers bench-truth reproduce docs
setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[all]'
	touch $@

# λ̂ of a network along its training, with a page to look at: runs/demo/report.html
demo: $(READY)
	$(BIN)/singulab demo

test: $(READY)
	$(BIN)/python -m pytest

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

# The peers have an environment of their own: one of them needs Python 3.12 or newer.
BENCH_PYTHON ?= python3.12
BENCH := .venv/bench

$(BENCH)/.ready: pyproject.toml constraints.txt
	$(BENCH_PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --editable '.[bench]'
	touch $@

# cost of a chain step against the raw forward and backward pass, and against other packages
bench: $(BENCH)/.ready
	$(BENCH)/bin/singulab bench speed

# gradients to an error of 5 %, here and in other packages
bench-peers: $(BENCH)/.ready
	$(BENCH)/bin/singulab bench peers

# error, coverage and honesty over models of known truth; goes on where it was stopped
bench-truth: $(READY)
	$(BIN)/singulab bench truth

# every record that docs/trust.md, docs/exact.md and README.md are written from
reproduce: $(READY)
	$(BIN)/singulab bench gold
	$(BIN)/singulab bench truth
	$(BIN)/singulab bench failures
	$(BIN)/singulab bench off_minimum
	$(BIN)/singulab bench rescaling
	$(BIN)/singulab bench relu
	$(BIN)/singulab bench resolution
	$(BIN)/singulab bench chaos
	$(BIN)/singulab bench scale
	$(BIN)/singulab bench exact
	$(BIN)/singulab bench volume
	$(BIN)/singulab bench bayes
	$(BIN)/singulab bench discrete
	$(BIN)/singulab bench boltzmann
	$(BIN)/singulab bench generalisation
	$(BIN)/singulab bench precision
	$(BIN)/singulab bench dynamics
	$(BIN)/singulab bench evidence

# docs/reference.md from the docstrings, README's truth table, docs/trust.md and the tables of docs/exact.md,
# docs/dynamics.md, docs/discrete.md and docs/evidence.md from the records; tests fail when one is out of date
docs: $(READY)
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_truth.py
	$(BIN)/python docs/make_trust.py
	$(BIN)/python docs/make_dynamics.py
	$(BIN)/python docs/make_discrete.py
	$(BIN)/python docs/make_evidence.py
	$(BIN)/python docs/make_exact.py
