"""The process around the flow: settings, leadership, logging, metrics, the HTTP port, kopf's own settings."""
