# Two commands do everything: `make lab` opens the course, `make test` proves it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: lab test doctor notebooks bench checkpoints format lock clean help

help:
	@echo "make lab        open the course in JupyterLab (sets everything up first)"
	@echo "make test       the whole test suite (sets everything up first)"
	@echo "make doctor     check this machine; the output is a bug report"
	@echo "make notebooks  build and execute the notebooks that are stale"
	@echo "make bench      the tables of speed beside other libraries"
	@echo "make checkpoints  train the shipped networks anew (their cards say how long)"
	@echo "make format     put the code in order"
	@echo "make lock       pin the newest versions that pyproject.toml allows"
	@echo "make clean      remove the environment; the next command makes it anew"

# A folder that was moved or copied is set up again: the environment knows its own place.
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
  $(shell rm -f $(READY))
endif
QUIET := $(if $(CI),-q,)
PIP   := $(BIN)/python -m pip install --disable-pip-version-check $(QUIET)

# The stamp is written last. An interrupted install leaves a mark, and then begins again with an
# empty environment: pip cannot mend a package that it had half written. What was downloaded stays.
$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here; Python 3.11 or newer \
	  is needed. Another one: make PYTHON=/path/to/python lab"; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else \
	  f"Python 3.11 or newer is needed, but $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.12 lab")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "The module venv is missing; on \
	  Debian or Ubuntu: sudo apt-get install -y python3-venv"; exit 1; }
	@$(PYTHON) -c 'import shutil, sys; free = shutil.disk_usage(".").free / 1e9; sys.exit(0 if \
	  free > 8 or "$(wildcard $(BIN)/python)" else f"8 GB of free disk are needed, {free:.1f} are left")'
	@if [ -e $(VENV)/.installing ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  $(PYTHON) -m venv --clear $(VENV); fi
	@echo "Installing about 6.5 GB into $(VENV); this takes a few minutes, once."
	@touch $(VENV)/.installing
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.installing
	@echo $(CURDIR) > $@

lab: $(READY)
	-@$(BIN)/python -m course_lib.cli lab

# First everything that is right or wrong, on two cores; then what measures time, alone. Another
# program may take a core meanwhile, so what was too slow is measured again, twice at most.
TIMED = $(BIN)/python -m pytest -m timing tests
test: $(READY)
	$(BIN)/python -m pytest -m "not timing" -n 2 --dist loadfile --nbval --nbval-current-env \
	  --nbval-cell-timeout 120 --nbval-sanitize-with tests/notebooks/sanitize.cfg --ignore-glob='*.mine-*.ipynb' tests notebooks
	$(TIMED) || { sleep 20; $(TIMED) --last-failed; } || { sleep 60; $(TIMED) --last-failed; }

# Needs no environment: it is what one runs when there is none.
doctor:
	@if $(BIN)/python -c '' 2>/dev/null; then $(BIN)/python -m course_lib.doctor; \
	  else $(PYTHON) -m course_lib.doctor; fi

notebooks: $(READY)
	$(BIN)/python -m course_lib.cli notebooks

bench: $(READY)
	$(BIN)/python -m benchmarks

# The shipped networks, trained anew; a run that was stopped goes on where it was.
checkpoints: $(READY)
	$(BIN)/python data/checkpoints/vit_supervised.py
	$(BIN)/python data/checkpoints/vit_simclr.py
	$(BIN)/python data/checkpoints/vit_dino.py
	$(BIN)/python data/checkpoints/vit_mae.py
	$(BIN)/python data/checkpoints/clip_scenes.py
	$(BIN)/python data/checkpoints/blip_scenes.py
	$(BIN)/python data/checkpoints/llava_scenes.py

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
