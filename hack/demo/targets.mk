.PHONY: demo
demo: export DEMO_BEGAN := $(shell date +%s)
demo: setup ## From nothing to a checked answer: cluster, operator, model, twenty questions
	@$(BIN)/python -m hack.demo.run
