# `make run` plans the example cluster, `make test` runs every test; both install what the build needs first.

CARGO ?= cargo

.PHONY: setup run test test-peers testbed lint fmt doc bench catalog-rebuild check

# Installs the build tools that are missing, on Debian and Ubuntu; elsewhere it names them.
setup:
	@.ci/setup

run: setup
	$(CARGO) run --release --locked -- plan -f examples/company

test: setup
	$(CARGO) test --locked --all-targets
	$(CARGO) test --locked --doc

# The peers of the benchmark; those that are not installed are skipped (docs/benchmark-peers.md).
test-peers:
	cd peers/python && PYTHONDONTWRITEBYTECODE=1 python3 -m unittest discover -s tests -t .

# A cluster and a cloud to try things on, until ctrl-C; docs/testbed.md says what runs there.
testbed: setup
	$(CARGO) test --locked --test e2e -- up

fmt:
	$(CARGO) fmt --check

lint: setup
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features --lib -- -D warnings

doc: setup
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

bench: setup
	$(CARGO) bench --locked

# Makes the embedded catalog again from its sources; needs python3, go and the network.
catalog-rebuild:
	pricing-cache/rebuild/run

check: fmt lint test
