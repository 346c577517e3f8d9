# Each target installs what it needs from PyPI into .venv; it needs Python 3.10 to 3.13.
#
#   make run              the example export; prints the first records
#   make run ARGS="..."   your own files: ARGS are the options of `session-metrics`
#   make test             all tests, on all cores; ARGS are options of pytest
#   make test-quick       the tests without those that need a service or run whole jobs
#   make bench            the job beside its peers, see benchmarks/README.md; ARGS are its options
#   make test-cluster     the job on Prism and on workers elsewhere, see docs/cluster.md; needs Go;
#                         on Flink, too, if FLINK_JOB_SERVER_JAR names Beam's job server; needs Java 17
#   make flink-job-server a job server for make test-cluster, where no released one is; needs Maven
#   make test-browser     the report's page in a headless browser; needs Chromium
#   make lint             ruff and mypy
#   make clean            removes built files; keeps .venv

PYTHON ?= python3
VENV ?= .venv
EXTRA ?= test
ARGS ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.made-by-make
EXTRA_STAMP := $(STAMP)-with-extra
EXAMPLE := build/example
# Tests that share an expensive fixture run in one process, see tests/conftest.py.
ON_ALL_CORES := -n auto --dist loadgroup

FLINK_JOB_SERVER_JAR ?= $(wildcard build/cluster/flink-job-server.jar)
export FLINK_JOB_SERVER_JAR

.PHONY: run test test-quick bench measure test-cluster cluster-tests flink-job-server test-browser browser-tests lint clean

run: $(STAMP)
ifeq ($(strip $(ARGS)),)
	@$(BIN)/python -m pipelines.session_metrics \
		--messages 'examples/export/conversation_entries.csv' 'examples/export/connect_pages/*.json' \
			examples/export/data_360/conversation_entries.csv \
		--sessions examples/export/messaging_sessions.csv \
			examples/export/data_360/messaging_sessions.csv \
		--participants examples/export/data_360/participants.csv \
		--max_reject_ratio 0.05 \
		--output $(EXAMPLE) --report $(EXAMPLE)/report.html
	@$(BIN)/python examples/show.py $(EXAMPLE)
else
	@$(BIN)/python -m pipelines.session_metrics $(ARGS)
endif

test: $(EXTRA_STAMP)
	$(BIN)/python -m pytest $(ON_ALL_CORES) $(ARGS)

test-quick: $(EXTRA_STAMP)
	$(BIN)/python -m pytest $(ON_ALL_CORES) -m "not service and not slow" $(ARGS)

# The benchmarks, the cluster and the browser have virtual environments of their own: Beam starts more
# slowly with each installed package, and no other target needs theirs.
bench:
	@$(MAKE) --no-print-directory VENV=.venv-bench EXTRA=bench measure

measure: $(EXTRA_STAMP)
	@$(BIN)/python -m benchmarks.run $(ARGS)

test-cluster:
	@tests/cluster/fetch_prism build/cluster
	@$(MAKE) --no-print-directory VENV=.venv-cluster cluster-tests

cluster-tests: $(EXTRA_STAMP)
ifneq ($(FLINK_JOB_SERVER_JAR),)
	@$(BIN)/python -m tests.support.flink build/cluster
endif
	$(BIN)/python -m pytest tests/cluster $(ARGS)

flink-job-server:
	@tests/cluster/build_flink_job_server build/cluster

test-browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
		echo "test-browser needs chromium and chromedriver: apt-get install chromium chromium-driver" >&2; \
		exit 1; }
	@$(MAKE) --no-print-directory VENV=.venv-browser EXTRA=browser browser-tests

browser-tests: $(EXTRA_STAMP)
	$(BIN)/python -m pytest --confcutdir tests/browser tests/browser $(ARGS)

lint: $(EXTRA_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf build dist *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.*' -prune -exec rm -rf {} +

# Makes .venv anew if it cannot be used (no pip, another Python, moved).
$(STAMP): setup.py pyproject.toml
	@found=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); \
	case "$$found" in 3.10|3.11|3.12|3.13) ;; *) \
		echo "Python 3.10 to 3.13 is needed, $(PYTHON) is $${found:-missing}: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
		exit 1;; esac
	@echo "Setting up $(VENV), once" >&2
	@$(BIN)/python -c 'import pip, sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
		|| $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(EXTRA_STAMP): $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRA)]'
	@touch $@
