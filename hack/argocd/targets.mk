.PHONY: test-argocd

test-argocd: setup ## SmallModels under the real Argo CD: Synced and Healthy at rest, after an edit in Git, healed after one by hand
	@$(BIN)/python -m pytest tests/argocd -p no:cacheprovider
