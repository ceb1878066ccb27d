# The cluster at hand (KUBECONFIG) unless CLUSTER was said: the root Makefile's default is the test bed.
INSTALL_CLUSTER = $(if $(filter file,$(origin CLUSTER)),current,$(CLUSTER))

.PHONY: install uninstall images example example-digest

install: setup ## Build, push by digest and install: REGISTRY=registry.internal/slm, or CLUSTER=kind|testbed
	@$(BIN)/python -m hack.install install --cluster "$(INSTALL_CLUSTER)"

images: setup ## Build and push the images by digest, without a cluster: REGISTRY=registry.internal/slm
	@$(BIN)/python -m hack.install images --cluster "$(INSTALL_CLUSTER)"

uninstall: setup ## Remove the operator; models keep serving
	@$(BIN)/python -m hack.install uninstall --cluster "$(INSTALL_CLUSTER)"

example: setup ## Push the first example's weights to REGISTRY and apply it (CLUSTER=testbed: load them there)
	@$(BIN)/python -m hack.install.example apply --cluster "$(INSTALL_CLUSTER)"

example-digest: setup ## Write the digest of the committed weights into the first example
	@$(BIN)/python -m hack.install.example digest
