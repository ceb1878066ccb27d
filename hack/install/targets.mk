# The cluster at hand (KUBECONFIG) unless CLUSTER was said: the root Makefile's default is the test bed.
INSTALL_CLUSTER = $(if $(filter file,$(origin CLUSTER)),current,$(CLUSTER))

.PHONY: install uninstall chart-files

install: setup ## Build, push by digest and install: REGISTRY=registry.internal/slm, or CLUSTER=kind|testbed
	@$(BIN)/python -m hack.install install --cluster "$(INSTALL_CLUSTER)"

uninstall: setup ## Remove the operator; models keep serving
	@$(BIN)/python -m hack.install uninstall --cluster "$(INSTALL_CLUSTER)"

chart-files: setup ## Copy crds/ into the chart
	@$(BIN)/python -m hack.install.chart_files
