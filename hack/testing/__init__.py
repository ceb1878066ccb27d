"""One command for all tests: tiers side by side, one line of counts at the end."""
