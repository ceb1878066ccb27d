.PHONY: test test-long test-network-plugin test-fast test-apiserver test-cluster test-prepare

test: setup ## All tests: lint, types, contracts, then every tier side by side
	@# The first of them has the terminal: it may ask whether to install packages.
	@$(MAKE) --no-print-directory -j2 test-prepare check
	@$(BIN)/python -m hack.testing.run

test-long: setup ## Long tests: kills under load, long outages, real Argo CD, real Calico, a real browser, models of true size
	@$(BIN)/python -m hack.testing.prepare --long
	@$(BIN)/python -m hack.testing.run --long

test-network-plugin: setup ## Only what policies have to forbid, on a node whose network is the real Calico
	@$(BIN)/python -m hack.testing.prepare --long
	@$(BIN)/python -m hack.testing.run --long --only calico

test-fast: setup ## Only the tests that need nothing but Python
	@$(BIN)/python -m hack.testing.run --only fast

test-apiserver: setup ## Only the tests against real API servers
	@$(BIN)/python -m hack.testing.run --only apiserver

test-cluster: setup test-prepare ## Only the tests on the real node
	@$(BIN)/python -m hack.testing.run --only cluster,faults

test-prepare: setup
	@$(BIN)/python -m hack.testing.prepare
