.PHONY: bench-reconcile

bench-reconcile: setup ## Measure the operator beside a bare kopf daemon on N=1000 models (JSON is the last line)
	@$(BIN)/python -m hack.bench.reconcile --models $(or $(N),1000)
