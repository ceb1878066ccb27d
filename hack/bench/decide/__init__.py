"""What a decision costs: Envoy asks the agent, which decides, records on the disk, and answers."""
