"""The test bed: a real Kubernetes on one small machine."""
