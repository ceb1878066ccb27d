.PHONY: envoy

envoy: setup ## Download the pinned Envoy into the cache
	@$(BIN)/python -c 'from hack.envoy.binary import program; print(program())'
