# Models of true size with random weights, and what they need in memory.
.PHONY: true-size-models bench-memory bench-memory-limit bench-making bench-energy

true-size-models: setup ## Write GGUFs with the true shapes of 0.5B, 3B and 8B models into the cache (9 GB; MODELS="0.5b:Q4_0 …" picks)
	@$(BIN)/python -m hack.true_size.write $(MODELS)

bench-memory: setup ## Estimated against measured memory of real llama.cpp on models of true size (root; CASES=… picks; JSON is the last line)
	@nice -n 5 $(BIN)/python -m hack.true_size.measure $(CASES)

bench-memory-limit: setup ## A model of true size under a memory limit: 500 requests, no kill (root; CASE=3b:Q4_K_M:4096:1 LIMIT=4Gi; JSON is the last line)
	@nice -n 5 $(BIN)/python -m hack.true_size.limited $(or $(CASE),3b:Q4_K_M:4096:1) --limit $(or $(LIMIT),4Gi)

bench-making: setup ## Time and memory of the steps that convert and quantize, on models of true size, in their Jobs' limits (root; CASES="0.5b:Q4_K_M …"; JSON is the last line)
	@nice -n 5 $(BIN)/python -m hack.true_size.making $(CASES)

bench-energy: setup ## Processor seconds and watt-hours of 1,000 tokens, the same prompts on 0.5B and 3B (root; WATTS=400 CORES=32; JSON is the last line)
	@nice -n 5 $(BIN)/python -m hack.true_size.energy --watts $(or $(WATTS),400) --cores $(or $(CORES),32)
