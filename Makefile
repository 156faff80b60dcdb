PYTHON ?= python3
PROFILE ?= quick
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help book test check html bench bench-advice bench-gpu clean

help:
	@echo "make book    execute every notebook (PROFILE=quick or full), then build the HTML"
	@echo "make test    lint, types, and the tests of the package and of the sources"
	@echo "make check   the tests of what 'make book' made"
	@echo "make html    build the published book from the runs recorded under runs/"
	@echo "make bench   the engine beside its peers, the memory law and the noise scale against their bounds"
	@echo "make bench-advice   what following bslib advise costs over the best of a full sweep"
	@echo "make bench-gpu   what only a GPU shows: sweeps, kernels, memory, utilisation"

$(READY): requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

book: $(READY)
	$(BIN)/bslib book --profile $(PROFILE) --out _build

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not book"

check: $(READY)
	$(BIN)/python -m pytest -m book

html: $(READY)
	$(BIN)/bslib build $(wildcard runs/h200) runs/cpu-quick --out _build/html

BENCH := .venv-bench

$(BENCH)/.ready: benchmarks/requirements.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

bench: $(BENCH)/.ready $(READY)
	PYTHONPATH=. $(BENCH)/bin/python benchmarks/bench_training.py
	$(BIN)/python benchmarks/bench_memory.py
	$(BIN)/python benchmarks/bench_noise_scale.py

bench-advice: $(READY)
	$(BIN)/python benchmarks/bench_advice.py

bench-gpu: $(READY)
	$(BIN)/python benchmarks/bench_gpu.py

clean:
	rm -rf _build
