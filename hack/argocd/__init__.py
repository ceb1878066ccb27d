"""The real Argo CD beside a control plane."""
