"""Energy: watts to joules per token. Arrives with cost accounting; empty until then."""
