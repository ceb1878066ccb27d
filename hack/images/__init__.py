"""Images without a container engine: the same Containerfiles users build, run here in overlays and packed as OCI."""
