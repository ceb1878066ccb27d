"""What nodes, models and tokens cost, and what a cloud would have charged. Pure; money is decimal, never float."""
