"""Effects on the cluster: the only importer of the Kubernetes and Prometheus clients. No decisions live here."""
