"""The client image."""
