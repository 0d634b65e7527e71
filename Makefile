# The front door. `make quickstart` runs a real study; `make test` is the whole gate.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
PROMTOOL := build/promtool

# The feature that only `harness diagnose --deep` builds with, and its folder: other flags rebuild every crate.
DIAGNOSTIC := RUSTFLAGS="--cfg tokio_unstable --cfg tokio_taskdump" cargo
DIAGNOSTIC_OF := --quiet --locked --package kit --features diagnostic,tokio/taskdump --target-dir target/diagnostic
REAL := docker or cargo or load or browser
ALL_CORES := -n logical --dist worksteal
# What measures on a shared machine gets a second chance; what is broken fails twice.
tested = $(BIN)/pytest $(1) || $(BIN)/pytest --last-failed $(1)

.PHONY: quickstart test test-fast lint lint-python lint-rust format schema locks bench bench-claims bench-connections bench-search bench-stories clean

quickstart: $(INSTALLED)
	$(BIN)/harness optimize studies/quickstart.yaml

# What neither builds nor measures runs on every core at once; the rest has the machine to itself, one test at a time.
test: $(INSTALLED_DEV) $(PROMTOOL) lint
	cd target_templates && cargo test --quiet --locked
	cd target_templates && $(DIAGNOSTIC) test $(DIAGNOSTIC_OF)
	cd native && cargo test --quiet --locked
	$(call tested,$(ALL_CORES) -m "not ($(REAL))")
	$(call tested,-m "$(REAL)")

test-fast: $(INSTALLED_DEV)
	$(BIN)/pytest $(ALL_CORES) -m "not ($(REAL) or slow)" tests/unit tests/golden

# Types are checked on one core while the compiler has the other.
lint: $(INSTALLED_DEV)
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint-python lint-rust

lint-python: $(INSTALLED_DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

lint-rust:
	cd target_templates && cargo fmt --all --check
	cd target_templates && cargo clippy --quiet --all-targets --locked -- -D warnings
	cd target_templates && RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --package kit --locked
	cd target_templates && $(DIAGNOSTIC) clippy --all-targets $(DIAGNOSTIC_OF) -- -D warnings
	cd native && cargo fmt --check
	cd native && cargo clippy --quiet --all-targets --locked -- -D warnings
	cd tests/own_crate && cargo fmt --check

format: $(INSTALLED_DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cd target_templates && cargo fmt --all
	cd native && cargo fmt

schema: $(INSTALLED_DEV)
	$(BIN)/python -m harness.study.schema_file
	$(BIN)/python -m harness.diagnose.documented
	$(BIN)/python -m harness.window.documented

# After a change of target_templates/Cargo.lock.
locks:
	target_templates/relock

# wrk, which the engines are compared with, comes from Debian's packages.
bench: $(INSTALLED)
	command -v wrk >/dev/null || apt-get install -y -qq --no-install-recommends wrk >/dev/null
	$(BIN)/python bench/measure.py $(BENCH)

# What is claimed where the truth was planted, on real servers: half an hour, in parts that can be interrupted.
bench-claims: $(INSTALLED)
	$(BIN)/python bench/claims.py $(BENCH)

# Every study of studies/, for real: five to eight minutes each; BENCH="signing feed" names some.
bench-stories: $(INSTALLED)
	$(BIN)/python bench/stories.py $(BENCH)

# Held-open WebSocket connections, as many as `ulimit -Hn` allows: about three minutes.
bench-connections: $(INSTALLED)
	$(BIN)/python bench/connections.py $(BENCH)

# Simulated studies only, so no window is measured; BENCH="--studies 20 --cells 100:0.10" makes it short.
bench-search: $(INSTALLED_DEV)
	PYTHONPATH=tests $(BIN)/python bench/search.py $(BENCH)

clean:
	rm -rf build .mypy_cache .pytest_cache .ruff_cache

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

# Checks the exported alert rules; where it cannot be brought, that is said and tried again the next time.
$(PROMTOOL):
	tests/bring_promtool $@
