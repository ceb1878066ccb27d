"""`make demo`: from nothing to a checked answer."""
