# All there is to type. Every target first sets up what it needs, in a .venv of its own.
#
#   make demo     videos to features, converters, fusion, an honest table and an exported bundle
#   make serve    the Prefect UI and the MLflow UI, with the runs in them
#   make deploy   every flow, with its form, at the Prefect server that PREFECT_API_URL names
#   make stack    the services of a team, as docker/compose.yaml has them, without containers
#   make test     every test
#   make check    format, lint, types, directions of imports, spelling
#   make bench    the benchmarks, at their real sizes
#   make peers    the store beside other formats, which it installs first
#   make readers  the video reader beside others, which it installs first
#   make torture  store and training under kills; flipped bits, full disks and second writers
#
# Another Python: make install PYTHON=python3.13. Without a GPU, torch is far smaller from its own
# index: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make install

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

# Threads that wait sleep instead of spin: with other work on the machine, spinning ones made the
# same extraction take six times as long (docs/log.md).
export OMP_WAIT_POLICY := passive

.PHONY: install demo serve stack deploy test check bench peers readers torture

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: PolySpace needs Python 3.11 or later, this is %d.%d: make install PYTHON=python3.11" % sys.version_info[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv: some minutes, once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[flows,demo,onnx,dev]'
	@touch $@

demo: $(INSTALLED)
	@$(BIN)/python -m flows.distill

serve: $(INSTALLED)
	@$(BIN)/python -m flows.serve

# Again is harmless. GPUS=4 makes a queue for each of four GPUs a machine.
deploy: $(INSTALLED)
	@$(BIN)/python -m flows.deploy $(if $(GPUS),--gpus $(GPUS))

stack: $(INSTALLED)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m flows.stack

# One thread for each of three processes: one of them waits for some server most of the time.
test: $(INSTALLED)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 3 --dist loadgroup

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/codespell
	@$(BIN)/python -m pytest -q -p no:cacheprovider tests/architecture

# Without the shape checks of the tests, which take longer than what is measured.
bench: $(INSTALLED)
	@$(BIN)/python -m pytest tests/benchmarks -o addopts=--import-mode=importlib --benchmark-only --real
	@$(BIN)/python -m tests.benchmarks.store_against_peers

# In an environment of its own: the formats' packages bring many others.
peers: $(INSTALLED)
	@$(PYTHON) -m venv --clear .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -e '.[peers]'
	@.venv-peers/bin/python -m tests.benchmarks.store_against_peers

# torchcodec takes FFmpeg's libraries (libavcodec and so on, versions 4 to 8) from the system.
readers: $(INSTALLED)
	@$(PYTHON) -m venv --clear .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -e '.[peers]'
	@OMP_NUM_THREADS=1 .venv-peers/bin/python -m tests.benchmarks.readers_against_peers $(if $(OUT),--out $(OUT))

# OUT=FILE writes the table down.
torture: $(INSTALLED)
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.torture.run $(if $(OUT),--out $(OUT))
