"""Energy: what nodes and pods draw, and what it costs. Pure."""
