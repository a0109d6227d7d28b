# What a newcomer types; continuous integration types the same words.

CARGO ?= cargo
CALLS ?= 20
RATE ?= 2
SEED ?= 1
STEPS ?= 1000000
KEEP ?=
DEFECT ?=

.DEFAULT_GOAL := help
.PHONY: help run phone demo build check fmt lint doc tidy test test-simulation sim sim-defects bench

help: ## Show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

test: cargo ## All tests; needs Rust and a C compiler, nothing else
	$(CARGO) test --locked
	$(MAKE) test-simulation

# The simulation is a package of its own, built with the known defects in it; all of them are off unless one is asked for.
SIMULATION = $(CARGO) run --locked --quiet --profile simulation --package switchhook-simulation \
  --features seeded-defects --bin simulation --

test-simulation: cargo ## Ten million random steps against the cores, and the known defects
	$(SIMULATION) continuous-integration
	$(SIMULATION) defects

sim: cargo ## Random steps against the cores (SEED=1 STEPS=1000000, or KEEP=1-3,7 to play some steps again)
	$(SIMULATION) run --seed $(SEED) --steps $(STEPS) --keep "$(KEEP)" --defect "$(DEFECT)"

sim-defects: cargo ## Whether the simulation finds each known defect
	$(SIMULATION) defects

bench: cargo ## Benchmarks
	$(CARGO) bench --locked

# Say exactly what is missing.
.PHONY: cargo tools
cargo:
	@command -v $(CARGO) >/dev/null || { echo "cargo was not found. Install Rust: https://rustup.rs"; exit 1; }
	@command -v $${CC:-cc} >/dev/null || { \
	  echo "No C compiler was found; SQLite and TLS need one. Debian and Ubuntu: apt-get install build-essential;" \
	       "Fedora: dnf install gcc; macOS: xcode-select --install"; exit 1; }

tools: cargo
	@$(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1 || { \
	  echo "rustfmt or clippy is missing: rustup component add rustfmt clippy"; exit 1; }
