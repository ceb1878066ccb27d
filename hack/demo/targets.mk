.PHONY: demo
demo: setup ## From nothing to a checked answer: cluster, operator, model, twenty questions
	@$(BIN)/python -m hack.demo.run
