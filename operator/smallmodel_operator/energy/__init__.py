"""Energy: what nodes draw and what it costs. Pure."""
