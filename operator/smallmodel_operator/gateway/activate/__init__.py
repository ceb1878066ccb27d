"""Holding requests while a model wakes or is swapped, and waking it. `activator` is where to start."""
