"""Cost: prices, spend, budgets and the cloud equivalent. Arrives with cost objectives; empty until then."""
