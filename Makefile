# Two commands do everything: `make lab` opens the course, `make test` proves it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: lab test doctor notebooks bench format lock clean help

help:
	@echo "make lab        open the course in JupyterLab (sets everything up first)"
	@echo "make test       the whole test suite (sets everything up first)"
	@echo "make doctor     check this machine; the output is a bug report"
	@echo "make notebooks  build and execute the notebooks that are stale"
	@echo "make bench      the table of speeds beside other libraries"
	@echo "make format     put the code in order"
	@echo "make lock       pin the newest versions that pyproject.toml allows"
	@echo "make clean      remove the environment; the next command makes it anew"

# Survives interruption: the stamp is written last, and pip keeps what it has already fetched.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else \
	  f"Python 3.11 or newer is needed, but $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.12 lab")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || \
	  { echo "The module venv is missing; on Debian or Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@echo "Installing about 6.5 GB into $(VENV); this takes a few minutes, once."
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lab: $(READY)
	@$(BIN)/course lab

# First what measures time, alone on the machine; then everything else on two cores.
test: $(READY)
	$(BIN)/python -m pytest -m timing tests
	$(BIN)/python -m pytest -m "not timing" -n 2 --dist loadfile --nbval --nbval-current-env \
	  --nbval-cell-timeout 120 --nbval-sanitize-with tests/notebooks/sanitize.cfg tests notebooks

doctor: $(READY)
	@$(BIN)/course doctor

notebooks: $(READY)
	$(BIN)/course notebooks

bench: $(READY)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.features

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# uv is a tool of its own, not a part of the environment it pins.
lock:
	$(PYTHON) -m venv build/uv
	build/uv/bin/python -m pip install -q uv
	build/uv/bin/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  -q -o requirements.lock

clean:
	rm -rf $(VENV) build
