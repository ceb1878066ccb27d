.PHONY: bench-cascade bench-boundary bench-boundary-wire bench-decide bench-routing bench-reconcile bench-gateway bench-engine bench-scaling bench-tick bench-calibration

bench-reconcile: setup ## Measure the operator beside a bare kopf daemon on N=1000 models (JSON is the last line)
	@$(BIN)/python -m hack.bench.reconcile --models $(or $(N),1000)

bench-gateway: setup ## Measure the gateway beside a raw Envoy and LiteLLM's proxy, PLOT=file.svg (JSON is the last line)
	@$(BIN)/python -m hack.bench.gateway $(if $(PLOT),--plot $(PLOT))

bench-routing: setup ## Measure the choice of a model beside LiteLLM's and chance, and the detectors (JSON is the last line)
	@$(BIN)/python -m hack.bench.routing $(if $(N),--requests $(N))

bench-engine: setup ## Real llama.cpp on models of true size: through the gateway and alone, our flags and the defaults, what answers in 150 ms (root; MODELS="0.5b:Q4_K_M …" picks; JSON is the last line)
	@$(BIN)/python -m hack.bench.engine $(MODELS)

bench-scaling: setup ## Compare scaling policies on traces, SLM_BENCH_DATA=folder, QUICK=1, SEEDS=1,2, PLOT=file.svg (JSON is the last line)
	@$(BIN)/python -m hack.bench.scaling $(if $(QUICK),--quick) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(PLOT),--plot $(PLOT))

bench-tick: setup ## Measure what one look at N=1000 models in mode Objective costs: room for all, a full pool, budgets, at rest (JSON is the last line)
	@$(BIN)/python -m hack.bench.scaling.tick $(if $(N),--models $(N))

bench-decide: setup ## Measure what a decision on a request of a route costs, recorded before its answer (JSON is the last line)
	@$(BIN)/python -m hack.bench.decide --litellm $(if $(N),--rounds $(N))

bench-cascade: setup ## Measure a cascade: a small model's answers, and a larger one's where it doubted them, over a real gateway, N=2000 (root; JSON is the last line)
	@$(BIN)/python -m hack.bench.routing.cascade $(if $(N),--questions $(N))

bench-boundary: setup ## Count who leaves, of N=100000 requests with something planted and clean ones (JSON is the last line)
	@$(BIN)/python -m hack.bench.routing.boundary $(if $(N),--requests $(N))

bench-boundary-wire: setup ## The same over the wire: gateway, agent, egress and somebody outside who keeps each byte, N=100000 (JSON is the last line)
	@$(BIN)/python -m hack.bench.routing.wire $(if $(N),--requests $(N))

bench-calibration: setup ## The simulator's engine beside a real llama.cpp on the same short loads (root; MODEL=0.5b:Q4_K_M, TRACE=file.csv, THREADS=1; JSON is the last line)
	@$(BIN)/python -m hack.bench.calibration $(if $(MODEL),--model $(MODEL)) $(if $(TRACE),--trace $(TRACE)) $(if $(THREADS),--threads $(THREADS))
