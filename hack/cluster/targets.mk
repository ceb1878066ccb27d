export CLUSTER_NAME ?= slm
.PHONY: cluster-up cluster-down cluster-status cluster-env tools

cluster-up: ## Bring up the test bed: a real Kubernetes node in a network namespace (CLUSTER=kind|current: that cluster; CLUSTER_NAME=other: one beside it)
	@$(PYTHON) -m hack.cluster.choose up

cluster-down: ## Remove the test bed; only its cache folder stays
	@$(PYTHON) -m hack.cluster.choose down

cluster-status: ## What runs and whether it is ready
	@$(PYTHON) -m hack.cluster.choose status

cluster-env: ## What a shell needs: eval $$(make -s cluster-env)
	@$(PYTHON) -m hack.cluster.choose env

tools: ## Build all programs of the test bed (once; then cached)
	@$(PYTHON) -m hack.cluster tools
