# What a newcomer types; continuous integration types the same words.

CARGO ?= cargo
CALLS ?= 20
RATE ?= 2
CASES ?= 5000
SEED ?= 42
STEPS ?= 1000000
KEEP ?=
DEFECT ?=
PARTS ?=

.DEFAULT_GOAL := help
.PHONY: help run phone demo build check fmt lint doc tidy test test-cargo test-otlp test-simulation sim sim-storm sim-defects fuzz test-clients test-agents test-schemathesis schemathesis bench bench-load bench-sockets bench-voice

help: ## Show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: cargo ## Start the server on 127.0.0.1:8080
	$(CARGO) run --release -- serve

phone: cargo ## Start the phone system on 127.0.0.1:8090
	$(CARGO) run --release -- phone

demo: cargo ## Server and phone system with callers and agents (CALLS=20 RATE=2)
	$(CARGO) run --release -- demo --calls $(CALLS) --rate $(RATE)

build: cargo ## Build the release program
	$(CARGO) build --release --locked

check: fmt lint doc tidy ## Everything that reads the code without running it

fmt: tools
	$(CARGO) fmt --all -- --check

# Warnings are denied as an argument of clippy, not in RUSTFLAGS: those would build every dependency a second time.
lint: tools
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --package switchhook-simulation --lib --bins --all-features -- -D warnings

doc: cargo
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items --lib

tidy: cargo
	$(CARGO) test --locked --quiet --test server tidy::

test: test-cargo test-simulation test-clients test-agents test-schemathesis ## All tests; needs Rust, a C compiler, Python, Node and Chromium

test-cargo: cargo ## Tests that need Rust and a C compiler, nothing else
	$(CARGO) test --locked

# The simulation is a package of its own, built with the known defects in it; all of them are off unless one is asked for.
SIMULATION = $(CARGO) run --locked --quiet --profile simulation --package switchhook-simulation \
  --features seeded-defects --bin simulation --

test-otlp: tools ## The program with traces: lint, and spans for a collector (feature otlp)
	$(CARGO) clippy --locked --all-targets --features otlp -- -D warnings
	$(CARGO) test --locked --features otlp --test server -- traces::

test-simulation: cargo ## Ten million random steps against the cores, a storm over two thousand calls, and the known defects
	$(SIMULATION) continuous-integration
	$(SIMULATION) storm
	$(SIMULATION) defects

sim: cargo ## Random steps against the cores (SEED=42 STEPS=1000000, or KEEP=1-3,7 to play some steps again)
	$(SIMULATION) run --seed $(SEED) --steps $(STEPS) --keep "$(KEEP)" --defect "$(DEFECT)"

sim-storm: cargo ## Two thousand calls while a fifth of all callbacks and commands is lost, doubled, late or fails
	$(SIMULATION) storm --defect "$(DEFECT)"

sim-defects: cargo ## Whether the simulation finds each known defect
	$(SIMULATION) defects

fuzz: cargo ## Random and spoilt TwiML documents (CASES=5000)
	PROPTEST_CASES=$(CASES) $(CARGO) test --locked --lib -- tests::documents:: voice::rewrite::

test-schemathesis: cargo python ## Generated requests, by our description and by the contract (CASES=5000 SEED=42)
	$(CARGO) build --locked
	python3 tests/schemathesis/run.py --cases $(CASES) --seed $(SEED)

schemathesis: test-schemathesis ## The same for as long as you like (CASES=1000000)

test-clients: cargo ## The official Python and Node libraries against a running server
	$(CARGO) build --locked --bin switchhook
	SWITCHHOOK_BIN=$(CURDIR)/target/debug/switchhook tests/clients/run.sh

test-agents: cargo ## The official SDK for agents' browsers, in Node and in Chromium
	$(CARGO) build --locked --bin switchhook
	SWITCHHOOK_BIN=$(CURDIR)/target/debug/switchhook tests/agents/run.sh

bench: cargo ## Benchmarks
	$(CARGO) bench --locked --bench matching --bench engine --bench expressions --bench lists --bench statistics \
	  --bench explain --bench callbacks

bench-sockets: cargo ## Ten thousand agents' sockets: memory, pushes, a restart, a tenth that stalls
	$(CARGO) bench --locked --bench sockets

bench-voice: cargo ## Voice webhooks, and two thousand calls at the same time (PARTS="webhook calls")
	$(CARGO) bench --locked --bench voice -- $(PARTS)

bench-load: cargo ## Latency, memory and restart with 100,000 waiting tasks (PARTS="memory restart")
	$(CARGO) bench --locked --bench load -- $(PARTS)

# Say exactly what is missing.
.PHONY: cargo tools python
cargo:
	@command -v $(CARGO) >/dev/null || { echo "cargo was not found. Install Rust: https://rustup.rs"; exit 1; }
	@command -v $${CC:-cc} >/dev/null || { \
	  echo "No C compiler was found; SQLite and TLS need one. Debian and Ubuntu: apt-get install build-essential;" \
	       "Fedora: dnf install gcc; macOS: xcode-select --install"; exit 1; }

tools: cargo
	@$(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1 || { \
	  echo "rustfmt or clippy is missing: rustup component add rustfmt clippy"; exit 1; }

python:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer was not found. Debian and Ubuntu: apt-get install python3 python3-venv;" \
	       "Fedora: dnf install python3; macOS: brew install python"; exit 1; }
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv is missing. Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
