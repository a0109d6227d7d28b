# What a newcomer types; continuous integration types the same words.

CARGO ?= cargo
CALLS ?= 20
RATE ?= 2
PARTS ?=

.DEFAULT_GOAL := help
.PHONY: help run phone demo build check fmt lint doc tidy test bench bench-load

help: ## Show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

doc: cargo
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items --lib

tidy: cargo
	$(CARGO) test --locked --quiet --test server tidy::

test: cargo ## All tests; needs Rust and a C compiler, nothing else
	$(CARGO) test --locked

bench: cargo ## Benchmarks
	$(CARGO) bench --locked --bench matching --bench engine --bench expressions

bench-load: cargo ## Latency, memory and restart with 100,000 waiting tasks (PARTS="memory restart")
	$(CARGO) bench --locked --bench load -- $(PARTS)

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
